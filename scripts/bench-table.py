#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a table of what tests/bench/run.sh has printed (lines "= DRIVER METRIC VALUE UNIT").

Several values of one metric are several runs: the table shows their median. With --record, writes the table as JSON
and as a chart as well.
"""

import argparse
import json
import math
import os
import statistics

# Instructions that the library's cryptography takes to seal and open one message of 1,420 octets, which is how long a
# full TCP segment inside is. Measured: "crypto" in Documentation/performance.md.
CRYPTO = 21_510
PAYLOAD = 1368

# metric: (what it is, bound, must, aim). The bound is '>' where the ratio ours : C has to be at least that large,
# '<' where it has to be at most that large. 'own' and '=' judge our value itself: at least, and equal.
METRICS = {"link-tcp-1": ("TCP, the link alone", "", None, None)}
for ip in (4, 6):
    for name, what in (("1", "1 stream"), ("4", "4 streams"), ("reverse", "reverse")):
        METRICS[f"tcp-{name}-ipv{ip}"] = (f"TCP, {what}, IPv{ip} outside", ">", 1.30, 1.48)
METRICS |= {
    "udp-1300": ("UDP, 1300 B", ">", 1.20, 1.40),
    "udp-64": ("UDP, 64 B", ">", 1.20, 1.40),
    "tcp-software-gso": ("TCP, software segmentation outside", ">", 1.10, 1.25),
    "tcp-gro": ("TCP, singles received through GRO", ">", 1.10, 1.25),
    "ping-idle": ("ping, idle, average", "<", 0.95, 0.75),
    "ping-load-p50": ("ping under 4 TCP streams, p50", "<", 0.30, 0.10),
    "ping-load-p99": ("ping under 4 TCP streams, p99", "<", 0.30, 0.10),
    "ping-load-lost": ("ping under 4 TCP streams, lost", "", None, None),
    "call-lost": ("call under 4 TCP streams, lost", "=", 0, 0),
    "call-p50": ("call under 4 TCP streams, p50", "", None, None),
    "call-p99": ("call under 4 TCP streams, p99", "<", 0.30, 0.10),
    "handshakes-first": ("handshakes, responder, first", "", None, None),
    "handshakes": ("handshakes, responder", ">", 1.0, 1.2),
    "lookup-2": ("UDP, 64 B, 2 allowed IPs", "", None, None),
    "lookup-100k": ("UDP, 64 B, 100,000 allowed IPs", "", None, None),
    "lookup": ("UDP, 64 B, 100,000 against 2 IPs", "own", 0.97, 0.99),
    "allowed-ips-insert": ("insert 100,000 allowed IPs", ">", 1.0, 2.0),
    "allowed-ips-remove": ("remove 100,000 allowed IPs", ">", 1.0, 2.0),
    "peers-memory": ("memory of an idle peer", "<", 1 / 8, 2 / 32.8),
    "peers-setconf": ("wg setconf of 5,000 peers", "<", 0.5, 0.25),
    "peers-dump": ("dump of 5,000 peers", "<", 1.0, 0.8),
    "peers-delete": ("delete device with 5,000 peers", "<", 1 / 20, 1 / 100),
}


def read(name):
    """The results: metric -> driver -> list of values, and metric -> unit."""
    values, units = {}, {}
    for line in open(name, encoding="utf-8", errors="replace"):
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
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def verdict(bound, value, must, aim):
    if not bound:
        return ""
    if value is None:
        return "NOT MEASURED"
    if bound in (">", "own"):
        good, best = value >= must, value >= aim
    else:
        good, best = value <= must, value <= aim
    return "met, and the aim" if good and best else "met" if good else "NOT MET"


def build(values, units, whole):
    rows = []
    median = {m: {d: statistics.median(v) for d, v in drivers.items()} for m, drivers in values.items()}
    # The cost of a lookup is the ratio of two figures of the same driver.
    if "lookup-2" in median and "lookup-100k" in median:
        median["lookup"] = {d: v / median["lookup-2"][d] for d, v in median["lookup-100k"].items()
                            if d in median["lookup-2"]}
        units["lookup"] = "of 2 IPs"
    link = median.get("link-tcp-1", {}).get("none")
    if whole:
        for metric, (_, bound, _, _) in METRICS.items():
            if bound and metric not in median:
                median[metric] = {}
    order = list(METRICS)
    for metric in sorted(median, key=lambda m: order.index(m) if m in order else len(order)):
        drivers = median[metric]
        what, bound, must, aim = METRICS.get(metric, (metric, "", None, None))
        stock, ours = drivers.get("stock"), drivers.get("ours")
        ratio = ours / stock if ours is not None and stock else None
        row = {
            "metric": metric, "what": what, "unit": units.get(metric, ""), "stock": stock, "ours": ours, "ratio": ratio,
            "bound": bound, "must": must, "aim": aim, "go": drivers.get("go"), "ceiling": drivers.get("none"),
            "runs": {d: v for d, v in values.get(metric, {}).items()},
        }
        row["verdict"] = verdict(bound, ours if bound in ("own", "=") else ratio, must, aim)
        if metric.startswith("tcp-") and link:
            row["ceiling"] = PAYLOAD * 8 / (CRYPTO / 1000 + PAYLOAD * 8 / link)
        rows.append(row)
    return rows


def bounds(row, which):
    value = row[which]
    if not row["bound"] or value is None:
        return ""
    if row["bound"] == "=":
        return f"ours = {value:g}"
    sign = "≤" if row["bound"] == "<" else "≥"
    own = "ours " if row["bound"] == "own" else ""
    return f"{own}{sign} {value:.3g}"


def show(rows):
    head = ("metric", "unit", "C", "ours", "ratio", "must", "verdict", "aim", "ceiling", "wireguard-go")
    lines = [head] + [(
        row["what"], row["unit"], number(row["stock"]), number(row["ours"]),
        "-" if row["ratio"] is None else f"{row['ratio']:.3g}" if row["ratio"] < 0.1 else f"{row['ratio']:.2f}",
        bounds(row, "must"), row["verdict"], bounds(row, "aim"),
        number(row["ceiling"]), number(row["go"]),
    ) for row in rows]
    width = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.rjust(width[i]) if i in (2, 3, 4, 8, 9) else cell.ljust(width[i])
                        for i, cell in enumerate(line)).rstrip())
    judged = [row for row in rows if row["verdict"]]
    met = sum(row["verdict"].startswith("met") for row in judged)
    aims = sum(row["verdict"] == "met, and the aim" for row in judged)
    print(f"\n{met} of {len(judged)} met, {aims} with the aim")


def chart(rows, about):
    """Bars of how many times better than C, on a logarithmic scale, with what must be reached as a mark."""
    rows = [row for row in rows if row["ratio"] and row["verdict"] and row["bound"] in ("<", ">")]
    left, scale, step, top = 300, 110, 22, 56
    low, high = -1, 2
    height = top + step * len(rows) + 30

    def x(value):
        return left + (min(max(math.log10(value), low), high) - low) * scale

    right = left + (high - low) * scale
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right + 70}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{right + 70}" height="{height}" fill="white"/>',
        '<text x="10" y="20" font-size="14">How many times better than the in-tree C driver</text>',
        f'<text x="10" y="38" fill="#555">{about}; dark mark: must be reached</text>',
    ]
    for power in range(low, high + 1):
        at = left + (power - low) * scale
        out.append(f'<line x1="{at}" y1="{top - 6}" x2="{at}" y2="{height - 22}" stroke="#ccc"/>')
        out.append(f'<text x="{at}" y="{height - 8}" text-anchor="middle">{10.0**power:g}</text>')
    for i, row in enumerate(rows):
        y = top + i * step
        better = row["ratio"] if row["bound"] == ">" else 1 / row["ratio"]
        must = row["must"] if row["bound"] == ">" else 1 / row["must"]
        a, b = sorted((x(1), x(better)))
        colour = "#c0392b" if not row["verdict"].startswith("met") else "#2e7d32"
        out.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{row["what"]}</text>')
        out.append(f'<rect x="{a:.1f}" y="{y + 2}" width="{max(b - a, 1):.1f}" height="13" fill="{colour}"/>')
        out.append(f'<rect x="{x(must) - 1:.1f}" y="{y}" width="2" height="17" fill="#222"/>')
        out.append(f'<text x="{max(b, x(must)) + 5:.1f}" y="{y + 12}">{better:.3g}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clock", default="icount")
    parser.add_argument("--kernel", default="")
    parser.add_argument("--commit", default="")
    parser.add_argument("--record", metavar="DIRECTORY")
    parser.add_argument("--whole", action="store_true", help="nothing may be missing")
    parser.add_argument("results")
    options = parser.parse_args()
    values, units = read(options.results)
    if not values:
        raise SystemExit("error: nothing was measured")
    rows = build(values, units, options.whole)
    show(rows)
    if options.record:
        about = f"commit {options.commit}, Linux {options.kernel}, clock {options.clock}"
        with open(os.path.join(options.record, "bench.json"), "w", encoding="utf-8") as file:
            json.dump({"commit": options.commit, "kernel": options.kernel, "clock": options.clock,
                       "metrics": rows}, file, indent=1)
            file.write("\n")
        with open(os.path.join(options.record, "bench.svg"), "w", encoding="utf-8") as file:
            file.write(chart(rows, about))


if __name__ == "__main__":
    main()
