"""Draws how time grows with the tables: plot.py RESULTS.json FILE.svg"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
# The same picture gives the same file.
matplotlib.rcParams.update({"svg.hashsalt": "shardback", "svg.fonttype": "none"})

import matplotlib.pyplot as plt  # noqa: E402

source, target = sys.argv[1:]
with open(source) as file:
    points = json.load(file)

figure, (time, memory) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for title in dict.fromkeys(point["job"] for point in points):
    of_job = [point for point in points if point["job"] == title]
    millions = [point["actions"] / 1e6 for point in of_job]
    time.plot(millions, [point["seconds"] / each for point, each in zip(of_job, millions)], "o-", label=title)
    memory.plot(millions, [point["peak_bytes"] / 2**30 for point in of_job], "o-", label=title)
time.set(title="Time", ylabel="seconds per million actions", ylim=(0, None))
memory.set(title="Memory", ylabel="peak, GiB", ylim=(0, None))
sizes = sorted({point["actions"] / 1e6 for point in points})
for axes in (time, memory):
    axes.set(xlabel="million actions", xscale="log")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
figure.savefig(target, metadata={"Date": None} if target.endswith(".svg") else None)
