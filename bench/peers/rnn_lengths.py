# SPDX-License-Identifier: Apache-2.0
"""Tables of batches whose rows have different lengths: what the engines take, and what the lengths cost them."""
import rnn_report
from peer_report import few_rounds, rows_text, times_text

PADDED = " (padded)"


def _full_of(result, engine):
    """The same engine with full rows, in the same process."""
    return next((e for e in result["engines"] if not e["lengths"] and not e["error"]
                 and (e["engine"], e["precision"]) == (engine["engine"], engine["precision"])), None)


def alone(result):
    """The result with nothing but batches of different lengths, Auspex first. For an engine that takes no lengths stands what
    the full rows cost it, to which it would have to pad the others."""
    varied = [engine for engine in result["engines"] if engine["lengths"]]
    names = {engine["engine"] for engine in varied}
    padded = [{**engine, "engine": engine["engine"] + PADDED} for engine in result["engines"] if engine["engine"] not in names]
    return {**result, "engines": varied + padded}


def cost(result, engine, rows):
    """1: a batch takes the share of a full batch's time that its steps are of the full batch's. None if unknown."""
    if engine["engine"].endswith(PADDED):
        return 1 / result["steps_share"]
    full = _full_of(result, engine)
    times = rnn_report.ratio(full, engine, rows) if full else None
    return times / result["steps_share"] if times else None


def _cell(result, shown, engine, rows):
    batch = engine["batches"].get(str(rows))
    if batch is None:
        return ""
    if batch["s_per_row"] is None:
        return batch["why"]
    extra = cost(result, engine, rows)
    text = f"{rnn_report.number_text(batch['s_per_row'] * rows * 1e6)} us"
    text += f", cost {extra:.2f}" if extra else ""
    base = rnn_report.base_of(shown, engine)
    times = rnn_report.ratio(base, engine, rows) if engine is not base else None
    return text + (f", **{times_text(times)}x**" if times else "") + few_rounds(batch)


def table(result, batches):
    shown = alone(result)
    measured = rnn_report.measured_of(shown, batches)
    lines = ["", rnn_report.heading(result) + ", rows of different lengths", "",
             f"{rnn_report.shape(result['model'])} that is full; {100 * result['steps_share']:.0f} % of the steps count.", "",
             "| engine | precision | " + " | ".join(map(rows_text, measured)) + " | largest difference |",
             "|---" * (len(measured) + 3) + "|"]
    for engine in shown["engines"]:
        if not engine["error"]:
            lines.append(f"| {engine['engine']}{' (Python)' * engine['in_python']} | {engine['precision']} | "
                         + " | ".join(_cell(result, shown, engine, rows) for rows in measured)
                         + f" | {engine['difference']:.1e} |")
    lines.append("")
    return lines + [f"- {e['engine']}, {e['precision']}: {e['error']}" for e in shown["engines"] if e["error"]]


def _costs(results, batches):
    """The cost of each engine that takes lengths over the models: least, median, greatest."""
    found = {}
    for result in results:
        for engine in result["engines"]:
            for rows in batches:
                value = cost(result, engine, rows) if engine["lengths"] else None
                if value:
                    key = result.get("cap") or "", engine["engine"], engine["precision"], result["threads"]
                    found.setdefault(key, {}).setdefault(rows, []).append((value, result["case"]))
    lines = ["", "### Cost of the lengths", "",
             "| engine | precision | threads | " + " | ".join(map(rows_text, batches)) + " |", "|---" * (len(batches) + 3) + "|"]
    for (cap, name, precision, threads), by_rows in sorted(found.items()):
        lines.append(f"| {name}{rnn_report.kept_to(cap)} | {precision} | {threads} | "
                     + " | ".join(rnn_report.spread(by_rows.get(rows, [])) for rows in batches) + " |")
    return lines


def summary(results, batches):
    """What they cost over the models, and the ratios to Auspex; nothing if they were not measured."""
    if not results:
        return []
    batches = [rows for rows in batches if any(rnn_report.measured_of(result, [rows]) for result in results)]
    lines = ["", "## Batches of different lengths", "",
             "Lengths of rows are uniform in 1 to the steps, the same for all engines. Auspex and ONNX Runtime are told them as "
             "sequence_lens; PyTorch packs the rows (`pack_padded_sequence`, `enforce_sorted=False`), which is part of its time; "
             "oneDNN takes none, and what full rows cost it stands for it (padded). Cost: time against the full batch's in the "
             "same round, for each step that counts; 1 is ideal, what a padded batch costs is the steps of full rows against those "
             "that count. \"x\" and the ratios: how many times as long as Auspex, which is told them."]
    lines += _costs(results, batches)
    for cap in sorted({result.get("cap") or "" for result in results}):
        of_cap = [alone(result) for result in results if (result.get("cap") or "") == cap]
        for precision in ("fp32", "int8"):
            lines += rnn_report.glance(of_cap, batches, precision, ", different lengths")
    return lines
