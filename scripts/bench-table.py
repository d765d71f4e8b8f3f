#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a table of what tests/bench/run.sh has printed (lines "= DRIVER METRIC VALUE UNIT").

Several values of one metric are several runs: the table shows their median.
"""

import statistics
import sys

# metric: (what it is, the ratio ours : C that it must reach, the ratio aimed at). More is better where the
# ratio has to be large ('>'), less is better where it has to be small ('<').
METRICS = {}
for ip in (4, 6):
    METRICS[f"tcp-1-ipv{ip}"] = (f"TCP, 1 stream, IPv{ip} outside", ">", 1.30, 1.48)
    METRICS[f"tcp-4-ipv{ip}"] = (f"TCP, 4 streams, IPv{ip} outside", ">", 1.30, 1.48)
    METRICS[f"tcp-reverse-ipv{ip}"] = (f"TCP, reverse, IPv{ip} outside", ">", 1.30, 1.48)
METRICS |= {
    "udp-1300": ("UDP, 1300 B", ">", 1.20, 1.40),
    "udp-64": ("UDP, 64 B", ">", 1.20, 1.40),
    "ping-idle": ("ping, idle, average", "<", 0.95, 0.75),
    "ping-load-p50": ("ping under 4 TCP streams, p50", "<", 0.30, 0.10),
    "ping-load-p99": ("ping under 4 TCP streams, p99", "<", 0.30, 0.10),
}


def read(lines):
    """The results: metric -> driver -> list of values, and metric -> unit."""
    values, units = {}, {}
    for line in lines:
        field = line.split()
        if len(field) == 5 and field[0] == "=":
            try:
                value = float(field[3])
            except ValueError:
                continue
            values.setdefault(field[2], {}).setdefault(field[1], []).append(value)
            units[field[2]] = field[4]
    return values, units


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def main():
    values, units = read(sys.stdin)
    rows = [("metric", "unit", "C", "ours", "ratio", "must", "aim", "verdict")]
    missed = 0
    for metric, drivers in values.items():
        what, sign, must, aim = METRICS.get(metric, (metric, "", None, None))
        stock = statistics.median(drivers["stock"]) if "stock" in drivers else None
        ours = statistics.median(drivers["ours"]) if "ours" in drivers else None
        ratio = ours / stock if ours is not None and stock else None
        verdict = ""
        if ratio is not None and sign:
            if sign == ">":
                verdict = "aim" if ratio >= aim else "must" if ratio >= must else "MISSED"
            else:
                verdict = "aim" if ratio <= aim else "must" if ratio <= must else "MISSED"
            missed += verdict == "MISSED"
        rows.append((
            what, units[metric], number(stock), number(ours),
            "-" if ratio is None else f"{ratio:.3f}",
            f"{sign}= {must:g}" if sign else "", f"{sign}= {aim:g}" if sign else "", verdict,
        ))
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(
            cell.rjust(width[i]) if 2 <= i <= 4 else cell.ljust(width[i]) for i, cell in enumerate(row)
        ).rstrip())
    print(f"{missed} missed")


if __name__ == "__main__":
    main()
