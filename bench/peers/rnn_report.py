# SPDX-License-Identifier: Apache-2.0
"""Tables of what rnn_measure found."""
import statistics

from peer_report import few_rounds, rows_text, times_text

CELLS = {"lstm": "LSTM", "gru": "GRU (reset after)"}


def _engine(result, precision, name=None):
    """The first engine of this precision that ran, or that of this name."""
    return next((e for e in result["engines"] if e["precision"] == precision and not e["error"]
                 and e["engine"].startswith(name or "Auspex")), None)


def _rounds(engine, rows):
    batch = engine["batches"].get(str(rows)) if engine else None
    return batch["rounds"] if batch and batch["s_per_row"] else None


def ratio(base, engine, rows):
    """How many times as long as `base` the engine takes, the median over the rounds; None if unknown."""
    ours, theirs = _rounds(base, rows), _rounds(engine, rows)
    return statistics.median(b / a for a, b in zip(ours, theirs)) if ours and theirs else None


def peak_rate(peak, rows):
    """Operations a second, the median over the rounds."""
    rounds = _rounds(peak, rows)
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


def _number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _cell(result, engine, rows):
    batch = engine["batches"].get(str(rows))
    if batch is None:
        return ""
    if batch["s_per_row"] is None:
        return batch["why"]
    a_row = batch["s_per_row"] * 1e6
    rate = result["model"]["flop"] / batch["s_per_row"]
    text = f"{_number(a_row * rows)} us" + (f" ({_number(a_row)} a row)" if rows > 1 else "") + f", {rate * 1e-9:.1f} G/s"
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


def _kept_to(cap):
    return f", kept to {cap.upper()}" if cap else ""


def in_order(results):
    """Those of peers without limits first."""
    return sorted(results, key=lambda result: result.get("cap") or "")


def table(result, batches):
    measured = [rows for rows in batches if any(str(rows) in e["batches"] for e in result["engines"])]
    lines = ["", f"### {result['case']}, {result['threads']} thread{'s' * (result['threads'] > 1)}"
             + _kept_to(result.get("cap")), "", shape(result["model"]) + ".", "",
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


def glance(results, batches, precision):
    """Least, median and greatest ratio of each engine to Auspex in this precision, over the models; and of the fastest peer, at
    each batch of each model another."""
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
    lines = ["", f"### Against Auspex in {precision}{_kept_to(results[0].get('cap'))}", "",
             "| engine | precision | threads | " + " | ".join(map(rows_text, batches)) + " |", "|---" * (len(batches) + 3) + "|"]
    for (threads, of, name), by_rows in sorted(found.items()):
        cells = []
        for rows in batches:
            values = sorted(by_rows.get(rows, []))
            if not values:
                cells.append("")
                continue
            spread = (values[0][0], statistics.median(value for value, _ in values), values[-1][0])
            cells.append(f"{' - '.join(map(times_text, spread))} ({values[0][1]})")
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
            model = result["case"] + _kept_to(result.get("cap"))
            lines.append(f"| {model} | {engine['engine']} | {engine['precision']} | {engine['load_s'] * 1e3:.3g} ms | "
                         + " | ".join(cells) + " |")
    return lines
