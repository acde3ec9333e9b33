#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Proves that the examples in README and manual work as they stand: programs compile, rules load,
# and the manual has no faults in its form.
# TIMEOUT=120
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
cd "$here/.."

# Write each block that is fenced as language $2 in Markdown file $1 to $3-N.
fenced_blocks()
{
	awk -v fence='```'"$2" -v out="$3-" '
	$0 == "```" && inside { inside = 0 }
	inside { print >file }
	$0 == fence { inside = 1; file = out (++n) }' "$1"
}

# Write each example of manual $1 whose first line begins with $2 to $3-N.
manual_blocks()
{
	awk -v first="$2" -v out="$3-" '
	$1 == ".EE" { inside = 0 }
	start { inside = index($0, first) == 1; start = 0; if (inside) file = out (++n) }
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

# Where the example stands: "README.md 1".
place()
{
	basename "$1" | sed 's/\.[a-z]*-/ /'
}

check_all()	# KIND WHAT-IS-SAID COMMAND...
{
	local kind=$1 said=$2 file found=
	shift 2
	for file in "$tmp"/*."$kind"-*; do
		[ -f "$file" ] || continue
		found=1
		check "docs: $kind example $(place "$file") $said" "$@" "$file"
	done
	[ -n "$found" ] || not_ok "docs: no $kind example found"
}

for file in README.md docs/*.md; do
	[ -f "$file" ] || continue
	for kind in c nft; do
		fenced_blocks "$file" $kind "$tmp/$(basename "$file" .md).$kind"
	done
done
manual_blocks docs/divert.7 '#include' "$tmp/divert(7).c"
manual_blocks docs/divert.7 'table ' "$tmp/divert(7).nft"
manual_blocks build/lib/libdivert.3 '#include' "$tmp/libdivert(3).c"

check_all c compiles compiles
setup_ns RULES
check_all nft "is valid" in_ns "$RULES" nft -c -f
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
