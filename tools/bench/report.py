#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tables, goals and plots of what "measure" measured.

Reads a file of JSON lines for each run (icount*.jsonl are those where instructions were
counted), prints tables, compares with the goals and exits with 1 if a goal was missed or a
point failed.
"""

import argparse
import json
import math
import pathlib
import sys

import plots

TOLERANCE = 0.02


def load(path):
    """{(scenario, point): line}; lines about a whole scenario have point None.

    Of several rounds the fastest one counts, but a failure is a failure.
    """
    lines = {}
    with open(path) as f:
        for line in map(json.loads, f):
            key = line['scenario'], line.get('point')
            if key not in lines or line.get('rate', math.inf) > lines[key].get('rate', math.inf):
                lines[key] = line
    return lines


def ordered(values):
    return list(dict.fromkeys(values))


def point_order(point):
    """UDP before TCP, long bursts before short ones, small packets before large."""
    if not point.startswith('udp-'):
        return (1, 0, 0)
    size, burst = point.split('-')[1:]
    return (0, -int(burst), int(size))


class Run:
    def __init__(self, path):
        self.name = pathlib.Path(path).stem
        self.counted = self.name.startswith('icount')   # instructions; else a clock's time
        self.lines = load(path)
        self.scenarios = ordered(s for s, _ in self.lines)
        self.points = sorted({p for (_, p), line in self.lines.items() if 'cost' in line},
                             key=point_order)

    def value(self, scenario, point, member='cost'):
        return self.lines.get((scenario, point), {}).get(member)

    def added(self, scenario, point):
        """What the scenario costs beyond plain forwarding."""
        base = 'fwd+ct' if scenario.endswith('+ct') else 'fwd'
        cost, forwarding = self.value(scenario, point), self.value(base, point)
        if cost is None or forwarding is None:
            return None
        return cost - forwarding

    def contended(self, scenario):
        """{whose lock: how often one CPU waited for another, per million packets}, or None."""
        line = self.lines.get((scenario, 'contention'))
        if not line or 'contended' not in line:
            return None
        return {who: n * 1e6 / line['packets'] for who, n in line['contended'].items()}

    def unavailable(self, scenario):
        return self.lines.get((scenario, None), {}).get('unavailable')

    def errors(self):
        return [(s, p, line['error']) for (s, p), line in self.lines.items() if 'error' in line]


# --- tables ------------------------------------------------------------------------------------

def heading(point):
    if not point.startswith('udp-'):
        return 'TCP'
    size, burst = point.split('-')[1:]
    return f'{size} B, {burst}'


def cell_cost(run, scenario, point):
    cost, added = run.value(scenario, point), run.added(scenario, point)
    if cost is None:
        return '-'
    unit = 1 if point.startswith('udp-') else 1000
    text = f'{cost / unit:,.0f}'
    if added is not None and scenario != 'fwd':
        text += f' ({added / unit:+,.0f})'
    return text


def cell_rate(run, scenario, point):
    rate = run.value(scenario, point, 'rate')
    if rate is None:
        return '-'
    text = f'{rate:,.0f}'
    if point.endswith('-1') and run.value(scenario, point, 'p50'):
        p50, p99 = (run.value(scenario, point, m) for m in ('p50', 'p99'))
        text += f' ({p50:.0f}, {p99:.0f} us)'
    return text


COUNTED = 'Instructions per packet, or thousands per MiB of TCP (beyond plain forwarding)'
CLOCKED = 'Packets, or MiB of TCP, per second (latency: median, 99%)'


def table(run):
    cell, title = (cell_cost, COUNTED) if run.counted else (cell_rate, CLOCKED)
    rows = [['', *(heading(p) for p in run.points)]]
    for scenario in run.scenarios:
        if not run.unavailable(scenario) and not run.contended(scenario):
            rows.append([scenario, *(cell(run, scenario, p) for p in run.points)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f'\n{title}:\n')
    for row in rows:
        print(f'{row[0]:{widths[0]}}', *(f'{c:>{w}}' for c, w in zip(row[1:], widths[1:])),
              sep='  ')
    for scenario in filter(run.contended, run.scenarios):
        print(f'\n{scenario}: locks waited for, per million packets:',
              ', '.join(f'{who} {n:,.0f}' for who, n in run.contended(scenario).items()))
    reasons = ordered(run.unavailable(s) for s in run.scenarios if run.unavailable(s))
    for reason in reasons:
        names = [s for s in run.scenarios if run.unavailable(s) == reason]
        print(f'\nnot available ({reason.strip()}):\n    {" ".join(names)}')
    for scenario, point, error in run.errors():
        print(f'\nFAILED: {scenario}, {point}: {error}')


# --- goals -------------------------------------------------------------------------------------

def read_goals(path):
    with open(path) as f:
        rows = [line.split() for line in f]
    return [row[:5] + [float(row[5])] for row in rows if row and not row[0].startswith('#')]


def outcome(goal, ratio):
    name, measure, scenario, peer, point, limit = goal
    return {'goal': name, 'measure': measure, 'scenario': scenario, 'peer': peer, 'point': point,
            'limit': limit, 'ratio': round(ratio, 4), 'met': ratio <= limit * (1 + TOLERANCE)}


def check_goal(run, goal):
    """The goal as a member of bench.json, or None if it was not measured."""
    name, measure, scenario, peer, point, limit = goal
    if measure == 'waits':
        contended = run.contended(scenario)
        return contended and outcome(goal, contended['divert'])
    of = run.added if measure == 'added' else run.value
    ours, theirs = of(scenario, point), of(peer, point)
    if not theirs or ours is None:
        return None
    return outcome(goal, ours / theirs)


def check_goals(run, goals):
    # Whether CPUs wait for each other shows only where there are two, and no clock that counts.
    goals = [goal for goal in goals if (goal[1] == 'waits') != run.counted]
    results = list(filter(None, (check_goal(run, goal) for goal in goals)))
    if not results:
        return results
    print('\nGoals:\n')
    for r in results:
        print(f'{"ok    " if r["met"] else "MISSED"}  {r["goal"]:4} {r["measure"]:5} '
              f'{r["scenario"]} / {r["peer"]}, {r["point"]}: '
              f'{r["ratio"]:.3f} (at most {r["limit"]:.2f})')
    met = sum(r['met'] for r in results)
    print(f'\n{met} met, {len(results) - met} missed, {len(goals) - len(results)} not measured')
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-g', dest='goals', help='file of goals')
    parser.add_argument('-j', dest='json', help='write all that was found out to this file')
    parser.add_argument('-p', dest='plots', help='draw plots into this folder')
    parser.add_argument('runs', nargs='+')
    args = parser.parse_args()

    runs = [Run(path) for path in args.runs]
    found = {'runs': {run.name: list(run.lines.values()) for run in runs}, 'goals': []}
    for run in runs:
        table(run)
        if args.goals:
            found['goals'] += check_goals(run, read_goals(args.goals))
        if args.plots:
            plots.draw(run, args.plots)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + '\n')
    failed = any(run.errors() for run in runs)
    missed = any(not goal['met'] for goal in found['goals'])
    sys.exit(failed or missed)


if __name__ == '__main__':
    main()
