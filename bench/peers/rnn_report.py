# SPDX-License-Identifier: Apache-2.0
"""Tables of what rnn_measure found."""
import statistics

from peer_report import few_rounds, rows_text, times_text

CELLS = {"lstm": "LSTM", "gru": "GRU (reset after)"}


def _engine(result, precision, name=None):
    """The first engine of this precision that ran, or that of this name."""
    return next((e for e in result["engines"] if e["precision"] == precision and not e["error"]
                 and e["engine"].startswith(name or "Auspex")), None)


def rounds_of(engine, rows):
    batch = engine["batches"].get(str(rows)) if engine else None
    return batch["rounds"] if batch and batch["s_per_row"] else None


def ratio(base, engine, rows):
    """How many times as long as `base` the engine takes, the median over the rounds; None if unknown."""
    ours, theirs = rounds_of(base, rows), rounds_of(engine, rows)
    return statistics.median(b / a for a, b in zip(ours, theirs)) if ours and theirs else None


def peak_rate(peak, rows):
    """Operations a second, the median over the rounds."""
    rounds = rounds_of(peak, rows)
    return peak["operations"] / (statistics.median(rounds) * rows) if rounds else None


def _peak_for(result, engine, rows):
    """The best peak of what the engine may use. Peers use what the processor has."""
    names = ("peak fma",) if engine["precision"] == "fp32" else ("peak maddubs", "peak vpdpbusd")
    narrow = engine["engine"] == "Auspex avx2"
    peaks = [e for e in result["engines"] if e["engine"].startswith(names) and not (narrow and e["engine"].endswith("avx512"))]
    return max(filter(None, (peak_rate(peak, rows) for peak in peaks)), default=None)


def base_of(result, engine):
    """Auspex as it comes, in the engine's precision if it has that."""
    return (_engine(result, "int8") if engine["precision"] != "fp32" else None) or _engine(result, "fp32")


def number_text(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _cell(result, engine, rows):
    batch = engine["batches"].get(str(rows))
    if batch is None:
        return ""
    if batch["s_per_row"] is None:
        return batch["why"]
    a_row = batch["s_per_row"] * 1e6
    rate = result["model"]["flop"] / batch["s_per_row"]
    text = f"{number_text(a_row * rows)} us" + (f" ({number_text(a_row)} a row)" if rows > 1 else "") + f", {rate * 1e-9:.1f} G/s"
    peak = _peak_for(result, engine, rows)
    text += f", {100 * rate / peak:.0f} %" if peak else ""
    base = base_of(result, engine)
    times = ratio(base, engine, rows) if engine is not base else None
    return text + (f", **{times_text(times)}x**" if times else "") + few_rounds(batch)


def shape(model):
    layers = " -> ".join(str(units) for units in model["units"])
    dense = " -> dense " + " -> ".join(str(units) for units in model["dense"]) if model["dense"] else ""
    return (f"{CELLS[model['cell']]} {layers}{dense}, {model['inputs']} features, {model['steps']} steps: "
            f"{model['flop'] * 1e-6:.3g} Mflop a row")


def kept_to(cap):
    return f", kept to {cap.upper()}" if cap else ""


def in_order(results):
    """Those of peers without limits first."""
    return sorted(results, key=lambda result: result.get("cap") or "")


def heading(result):
    return f"### {result['case']}, {result['threads']} thread{'s' * (result['threads'] > 1)}" + kept_to(result.get("cap"))


def measured_of(result, batches):
    return [rows for rows in batches if any(str(rows) in e["batches"] for e in result["engines"])]


def table(result, batches):
    measured = measured_of(result, batches)
    lines = ["", heading(result), "", shape(result["model"]) + ".", "",
             "| engine | precision | " + " | ".join(map(rows_text, measured)) + " | largest difference |",
             "|---" * (len(measured) + 3) + "|"]
    for engine in result["engines"]:
        if engine["error"]:
            continue
        if engine["precision"] == "peak":
            rates = [peak_rate(engine, rows) for rows in measured]
            lines.append(f"| {engine['engine']} | | " + " | ".join(f"{rate * 1e-9:.0f} G/s" if rate else "" for rate in rates)
                         + " | |")
            continue
        difference = f"{engine['difference']:.1e}" if "difference" in engine else ""
        lines.append(f"| {engine['engine']}{' (Python)' * engine['in_python']} | {engine['precision']} | "
                     + " | ".join(_cell(result, engine, rows) for rows in measured) + f" | {difference} |")
    lines.append("")
    kernels = {(e["engine"], e["precision"]): e["kernels"] for e in result["engines"] if e.get("kernels")}
    lines += [f"- {name}, {precision}: {', '.join(rows)}" for (name, precision), rows in kernels.items()]
    lines += [f"- {e['engine']}, {e['precision']}: {e['error']}" for e in result["engines"] if e["error"]]
    return lines


def _peers(result, precision):
    return [e for e in result["engines"] if e["precision"] == precision and not e["error"] and not e["engine"].startswith("Auspex")]


def spread(values):
    """The least, the median and the greatest of (value, model), with the model of the least."""
    if not values:
        return ""
    values = sorted(values)
    three = (values[0][0], statistics.median(value for value, _ in values), values[-1][0])
    return f"{' - '.join(map(times_text, three))} ({values[0][1]})"


def glance(results, batches, precision, what=""):
    """Least, median and greatest ratio of each engine to Auspex in this precision, over the models; and of the fastest peer, at
    each batch of each model another. what: more of the heading."""
    found = {}

    def note(result, of, name, rows, value):
        if value is not None:
            found.setdefault((result["threads"], of, name), {}).setdefault(rows, []).append((value, result["case"]))

    for result in results:
        base = _engine(result, precision)
        if not base:
            continue
        for rows in batches:
            for engine in result["engines"]:
                if not engine["error"] and engine is not base and engine["precision"] != "peak":
                    note(result, engine["precision"], engine["engine"], rows, ratio(base, engine, rows))
            for of in ("fp32", "int8"):
                known = [ratio(base, peer, rows) for peer in _peers(result, of)]
                note(result, of, "the fastest peer", rows, min((value for value in known if value is not None), default=None))
    if not found:
        return []
    lines = ["", f"### Against Auspex in {precision}{kept_to(results[0].get('cap'))}{what}", "",
             "| engine | precision | threads | " + " | ".join(map(rows_text, batches)) + " |", "|---" * (len(batches) + 3) + "|"]
    for (threads, of, name), by_rows in sorted(found.items()):
        cells = [spread(by_rows.get(rows, [])) for rows in batches]
        lines.append(f"| {name} | {of} | {threads} | " + " | ".join(cells) + " |")
    return lines


def summary(results, batches):
    lines = ["", "## Ratios at a glance", "",
             "How many times as long as Auspex an engine takes for the same rows of the same network: the least, the median and "
             "the greatest over the models below, with the model of the least."]
    for cap in sorted({result.get("cap") or "" for result in results}):
        of_cap = [result for result in results if (result.get("cap") or "") == cap]
        for precision in ("fp32", "int8", "int7"):
            lines += glance(of_cap, batches, precision) if precision != "int7" or cap else []
    return lines


def threads(results, batches):
    """Speed-ups of each engine by more threads than one. The two were measured in different processes, at different times."""
    found = {}
    one = {(result["case"], result.get("cap")): result for result in results if result["threads"] == 1}
    for result in results:
        alone = one.get((result["case"], result.get("cap")))
        if result["threads"] == 1 or alone is None:
            continue
        before = {(e["engine"], e["file"]): e["batches"] for e in alone["engines"] if e["precision"] != "peak"}
        for engine in result["engines"]:
            for rows, batch in engine["batches"].items():
                then = before.get((engine["engine"], engine["file"]), {}).get(rows)
                if then and then["s_per_row"] and batch["s_per_row"]:
                    key = result.get("cap") or "", engine["engine"], engine["precision"], result["threads"]
                    found.setdefault(key, {}).setdefault(int(rows), []).append((then["s_per_row"] / batch["s_per_row"],
                                                                                result["case"]))
    if not found:
        return []
    lines = ["", "## Two threads and more against one", "",
             "How many times as fast as on one thread: the least, the median and the greatest over the models below, with the "
             "model of the least. Each number of threads had processes of its own, so that these are ratios of medians.", "",
             "| engine | precision | threads | " + " | ".join(map(rows_text, batches)) + " |", "|---" * (len(batches) + 3) + "|"]
    for (cap, name, precision, count), by_rows in sorted(found.items()):
        lines.append(f"| {name}{kept_to(cap)} | {precision} | {count} | "
                     + " | ".join(spread(by_rows.get(rows, [])) for rows in batches) + " |")
    return lines


def loading(results):
    """What comes before the steady state, for the models measured on one thread."""
    lines = ["", "## Loading and first calls", "",
             "Loading, from the file (oneDNN: from the weights in memory; PyTorch: from its module) to an engine that takes calls; "
             "the first call of a size, with what the engine makes for that size; a call once it is running.", "",
             "| model | engine | precision | load | first call, 1 row | then | first call, 64 rows | then |",
             "|---|---|---|---|---|---|---|---|"]
    for result in in_order(results):
        if result["threads"] != 1:
            continue
        for engine in result["engines"]:
            if engine["error"] or engine["precision"] == "peak":
                continue
            cells = []
            for rows in (1, 64):
                batch = engine["batches"].get(str(rows))
                known = batch is not None and batch["s_per_row"] is not None
                cells += [f"{batch['first_s'] * 1e3:.3g} ms", f"{batch['s_per_row'] * rows * 1e3:.3g} ms"] if known else ["", ""]
            model = result["case"] + kept_to(result.get("cap"))
            lines.append(f"| {model} | {engine['engine']} | {engine['precision']} | {engine['load_s'] * 1e3:.3g} ms | "
                         + " | ".join(cells) + " |")
    return lines
