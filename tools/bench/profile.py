#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Instructions by kernel function, from what the plugin (profile.c) counted.

One column for each measured point. With several, functions are sorted by how
much more the last costs than the first.
"""

import argparse
import bisect
import collections
import json

USER = 'user space'
KERNEL_START = 0xffff800000000000


class Symbols:
    """Code of the kernel and its modules, as /proc/kallsyms lists it."""

    def __init__(self, path):
        symbols = {}
        with open(path) as f:
            for line in f:
                address, kind, name, *module = line.split()
                if kind in 'tTwW':
                    symbols[int(address, 16)] = ' '.join([name, *module])
        self.addresses = sorted(symbols)
        self.names = [symbols[a] for a in self.addresses]

    def find(self, address):
        if address < KERNEL_START:
            return USER
        i = bisect.bisect_right(self.addresses, address) - 1
        return self.names[i] if i >= 0 else '?'


def count(path, symbols):
    """{function: instructions} of one window."""
    instructions = collections.Counter()
    with open(path) as f:
        for line in f:
            address, executions, length = line.split()
            instructions[symbols.find(int(address, 16))] += int(executions) * int(length)
    return instructions


def measured(path):
    """The points that were measured, in the order of the windows."""
    with open(path) as f:
        return [line for line in map(json.loads, f) if 'cost' in line]


def show(columns, names, lines):
    total = [sum(column.values()) for column in columns]
    last, first = columns[-1], columns[0] if len(columns) > 1 else {}
    functions = sorted(set().union(*columns),
                       key=lambda f: first.get(f, 0) - last.get(f, 0))
    print(' '.join(f'{name:>{max(9, len(name))}}' for name in names), ' function')
    for f in ['total', *functions[:lines]]:
        values = total if f == 'total' else [column[f] for column in columns]
        print(' '.join(f'{v:{max(9, len(n))},.0f}' for v, n in zip(values, names)), '', f)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-n', dest='lines', type=int, default=60, help='so many functions')
    parser.add_argument('-k', dest='kallsyms', required=True)
    parser.add_argument('-c', dest='counts', required=True, help='files of the plugin, without .N')
    parser.add_argument('results', help='what "measure" wrote')
    args = parser.parse_args()

    symbols = Symbols(args.kallsyms)
    columns, names = [], []
    for i, line in enumerate(measured(args.results), 1):
        column = count(f'{args.counts}.{i}', symbols)
        for f in column:
            column[f] /= line['units']
        columns.append(column)
        names.append(f'{line["scenario"]}:{line["point"]}')
    show(columns, names, args.lines)


if __name__ == '__main__':
    main()
