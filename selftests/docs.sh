#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Proves that the examples in README, guide and manuals work as they stand: programs compile, rules
# load, commands run, and the manuals have no faults in their form. Each block counts; one that cannot
# be run here says why at its fence ("sh not-run: why"), or is output or a part of something.
# TIMEOUT=600
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
cd "$here/.."

# Write each fenced block of Markdown file $1 to $2N.LANGUAGE, its first line the fence's other words:
# the name of a file, or not-run and why.
fenced_blocks()
{
	awk -v out="$2" '
	$0 == "```" && inside { inside = 0; next }
	inside { print >file }
	/^```/ && !inside {
		inside = 1
		language = substr($1, 4)
		file = sprintf("%s%02d.%s", out, ++n, language == "" ? "text" : language)
		$1 = ""
		print substr($0, 2) >file
	}' "$1"
}

# A block that is only indented would escape.
fenced_only()	# FILE
{
	! awk '/^```/ { inside = !inside } !inside' "$1" | grep -n '^    [^ ]'
}

# Write each example of manual $1 to $2N.LANGUAGE, behind an empty line; its first word tells the
# language. What is left is a part of something, or output.
manual_blocks()
{
	awk -v out="$2" '
	function language(line)
	{
		if (line ~ /^#include/)
			return "c"
		if (line ~ /^table /)
			return "nft"
		if (line ~ /^ *sysctl /)
			return "sh"
		if (line ~ /^import /)
			return "py"
		return "part"
	}
	$1 == ".EE" { inside = 0 }
	start {
		start = 0
		inside = 1
		file = sprintf("%s%02d.%s", out, ++n, language($0))
		print "" >file
	}
	inside {
		gsub(/\\-/, "-"); gsub(/\\\(aq/, "\047"); gsub(/\\&/, ""); gsub(/\\e/, "\\")
		print >file
	}
	$1 == ".EX" { start = 1 }' "$1"
}

# A whole program, or functions.
compiles()
{
	local how=(-c)
	! grep -q '^int main' "$1" || how=(-x none build/lib/libdivert.a -lpcap)
	cc -Wall -Werror -Iinclude/uapi -Itools/lib/include -o /dev/null -x c "$1" "${how[@]}"
}

# The place of a block: "guide.md 3".
place()
{
	basename "$1" | sed 's/-\([0-9]*\)\.[a-z]*$/ \1/'
}

fence()		# FILE: the fence's other words
{
	head -n 1 "$1"
}

# Programs and files get the names that the fence gives them, for the commands that follow.
test_block()	# FILE
{
	local file=$1 name
	name="docs: $(place "$file")"
	sed 1d "$file" >"$tmp/block"
	case $file in
	*.c) check "$name compiles" compiles "$tmp/block" ;;
	*.nft) check "$name is valid" in_ns "$RULES" nft -c -f "$tmp/block" ;;
	*.py) check "$name is valid" python3 -m py_compile "$tmp/block" ;;
	*.sh) test_commands "$file" "$name" ;;
	*) skip "$name" "output, or a part of something" ;;
	esac
	[[ $(fence "$file") != *.* || $file = *.sh ]] || cp "$tmp/block" "$tmp/work/$(fence "$file")"
}

test_commands()	# FILE NAME
{
	case $(fence "$1") in
	not-run:*)
		if check "$2 is valid" bash -n "$tmp/block"; then
			skip "$2 runs" "$(fence "$1")"
		fi
		;;
	*)
		check "$2 runs" commands
		;;
	esac
}

# Blocks of one document follow each other, in one shell.
commands()
{
	local n=$((++_commands))
	cp "$tmp/block" "$tmp/commands-$n" &&
		echo "set -e; . '$tmp/commands-$n'; echo >'$tmp/ran-$n'" >&"$shell" &&
		wait_until 60 ended "$n"
	cat "$tmp/shell"
	[ -e "$tmp/ran-$n" ]
}

ended()		# N
{
	[ -e "$tmp/ran-$1" ] || ! kill -0 "$shell_pid"
}

_commands=0
test_document()	# PREFIX COMMAND...: its shell is run by the command
{
	local file
	mkdir -p "$tmp/work"
	mkfifo "$tmp/fifo"
	exec {shell}<>"$tmp/fifo"
	(cd "$tmp/work" && exec "${@:2}" bash) <"$tmp/fifo" >"$tmp/shell" 2>&1 &
	shell_pid=$!
	_spawned+=("$shell_pid")
	for file in "$1"*; do
		test_block "$file"
	done
	echo exit >&"$shell"
	wait "$shell_pid" || true
	exec {shell}>&-
	rm -r "$tmp/work" "$tmp/fifo"
}

# As installed.
make -s --no-print-directory -C tools/lib install PREFIX="$tmp/usr" MANDIR="$tmp/usr/share/man" >"$tmp/install"
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig LD_LIBRARY_PATH=$tmp/usr/lib
export PATH=$PWD/build/divertctl:$PWD/build/examples:$PATH

setup_ns RULES
for file in README.md docs/*.md; do
	[ -f "$file" ] || continue
	check "docs: $file has fenced blocks only" fenced_only "$file"
	fenced_blocks "$file" "$tmp/$(basename "$file")-"
	test_document "$tmp/$(basename "$file")-" env
done
# Settings of the manual are tried where they harm nobody.
# The prototypes that libdivert(3) gets from the headers are compiled with every program.
for file in docs/divert.7 docs/divertctl.8 tools/lib/libdivert.3.in; do
	manual_blocks "$file" "$tmp/$(basename "$file")-"
	test_document "$tmp/$(basename "$file")-" ip netns exec "$RULES"
done

rules_valid()	# MANUAL: the rules that it shows divertctl adding
{
	local line
	while read -ra line; do
		build/divertctl/divertctl add -n "${line[@]}" || return
	done < <(sed -n 's/^ *divertctl add //p' "$1" | tee "$tmp/rules")
	[ -s "$tmp/rules" ]
}

check "docs: rules of divertctl(8) are valid" rules_valid docs/divertctl.8
for file in docs/*.[1-9]; do
	check "docs: $(basename "$file") has no faults in its form" mandoc -T lint -W warning "$file"
done
