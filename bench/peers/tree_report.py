# SPDX-License-Identifier: Apache-2.0
"""Tables of what tree_measure found."""
import statistics

from peer_report import few_rounds, rows_text, times_text


def _ours(result, file):
    """Auspex as it comes, on the file the peer reads."""
    return next((e for e in result["engines"] if e["engine"].startswith("Auspex") and e["file"] == file), None)


def ratio(result, engine, rows):
    """How many times as long as Auspex the engine takes, the median over the rounds; None if unknown."""
    ours = _ours(result, engine["file"])
    batches = [facts["batches"].get(str(rows)) for facts in (ours, engine) if facts]
    if len(batches) < 2 or any(batch is None or batch["s_per_row"] is None for batch in batches):
        return None
    return statistics.median(theirs / own for own, theirs in zip(*(batch["rounds"] for batch in batches)))


def _rate(rows_per_s):
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rows_per_s >= size:
            return f"{rows_per_s / size:.3g} {unit}"
    return f"{rows_per_s:.3g}"


def _cell(result, engine, rows):
    batch = engine["batches"].get(str(rows))
    if batch is None:
        return ""
    if batch["s_per_row"] is None:
        return batch["why"]
    per_tree = batch["s_per_row"] * 1e9 / result["model"]["trees"]
    text = f"{_rate(1 / batch['s_per_row'])}/s, {per_tree:.3g} ns"
    times = None if engine["engine"].startswith("Auspex") else ratio(result, engine, rows)
    return text + (f", **{times_text(times)}x**" if times else "") + few_rounds(batch)


def table(result, batches):
    model = result["model"]
    measured = [rows for rows in batches if any(str(rows) in e["batches"] for e in result["engines"])]
    lines = ["", f"### {result['case']}, {result['threads']} thread{'s' * (result['threads'] > 1)}", "",
             f"{model['trees']} trees, {model['leaves']:,} leaves (at most {model['most_leaves']:,} a tree), "
             f"{model['features']} features.", "",
             "| engine | file | " + " | ".join(map(rows_text, measured))
             + f" | largest difference from {result['library']} | load |",
             "|---" * (len(measured) + 4) + "|"]
    for engine in result["engines"]:
        if engine["error"]:
            continue
        engine_name = engine["engine"] + " (Python)" * engine["in_python"]
        difference = "same bits" if engine.get("same_bits") else f"{engine['difference']:.1e}" if "difference" in engine else ""
        lines.append(f"| {engine_name} | {engine['file']} | "
                     + " | ".join(_cell(result, engine, rows) for rows in measured)
                     + f" | {difference} | {engine['load_s'] * 1e3:.0f} ms |")
    lines.append("")
    lines += [f"- {e['engine']} on {e['file']}: {e['error']}" for e in result["engines"] if e["error"]]
    return lines


def summary(results, batches):
    """Least and greatest ratio to each peer over the models, by threads and by size of the call."""
    lines = ["", "## Ratios at a glance", "",
             "How many times as long as Auspex a peer takes for the same rows and the same model file: the least, the median and "
             "the greatest over the models below, with the model of the least.", "",
             "| peer | threads | " + " | ".join(map(rows_text, batches)) + " |", "|---" * (len(batches) + 2) + "|"]
    found = {}
    for result in results:
        for engine in result["engines"]:
            if engine["error"] or engine["engine"].startswith("Auspex"):
                continue
            for rows in batches:
                value = ratio(result, engine, rows)
                if value is not None:
                    found.setdefault((engine["engine"], result["threads"]), {}).setdefault(rows, []).append(
                        (value, result["case"]))
    for (name, threads), by_rows in sorted(found.items()):
        cells = []
        for rows in batches:
            values = sorted(by_rows.get(rows, []))
            if not values:
                cells.append("")
                continue
            spread = (values[0][0], statistics.median(value for value, _ in values), values[-1][0])
            cells.append(f"{' - '.join(map(times_text, spread))} ({values[0][1]})")
        lines.append(f"| {name} | {threads} | " + " | ".join(cells) + " |")
    return lines


def loading(results):
    """What a model costs before its first row, for the models measured on one thread."""
    lines = ["", "## Loading", "",
             "From the file to a model that can be run, the median of three; what the process then holds more (resident; 0 where "
             "earlier memory was used again); and what Auspex keeps of the trees, beside 8 bytes a node (a float and two indices "
             "of 16 bits) and 20 bytes a node (as XGBoost has it in memory).", "",
             "| model | 8 bytes a node | 20 bytes a node | engine | load | resident | Auspex keeps | schedule |",
             "|---|---|---|---|---|---|---|---|"]
    for result in results:
        if result["threads"] != 1:
            continue
        mib = [f"{result['model']['nodes'] * size / 2**20:.2f} MiB" for size in (8, 20)]
        for engine in result["engines"]:
            if not engine["error"] and not engine["in_python"] and not engine["engine"].startswith(("Treelite", "lleaves")):
                kept = engine.get("packed_bytes")
                lines.append(f"| {result['case']} | {mib[0]} | {mib[1]} | {engine['engine']}, {engine['file']} | "
                             f"{engine['load_s'] * 1e3:.1f} ms | {max(0, engine['resident_bytes']) / 2**20:.2f} MiB | "
                             f"{f'{kept / 2**20:.2f} MiB' if kept else ''} | {engine.get('schedule') or ''} |")
    return lines
