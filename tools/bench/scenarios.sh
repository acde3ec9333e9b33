# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # variables of "measure"
# What the router does with the packets. A scenario's name is made of words: KIND-WORD-WORD+EXTRA;
# README.md lists them.

divert_mark=0x1b580064	# port 7000, cookie 100
pid='' extra_pid=''

# The scenarios of a whole run. First those that show what a bystander pays, in a machine that has
# not seen divert yet.
scenario_names()
{
	echo fwd fwd-loaded fwd-open fwdnft
	echo nfqnaive nfqnaiverw nfqtuned nfqtunedrw nfqmeta tun tunvnet-rw raw-rw udp
	echo divert-{in,out}{,-one,-gso,-ip2,-hold,-hold-records}{,-rw}
	echo divert-in{-ip1,-one-ip2,-one-hold,-records}{,-rw}
	echo fwd+ct {nfqtunedrw,divert-in-rw,divert-in-hold-rw}+ct
	echo divert-in-rw+{ports{10,100,1000,5000},netns1000}
	echo {fwdnft,nfqtunedrw,divert-in-rw}+rules{10,100,1000}
	echo divert-in{,-hold,-hold-records}-rw+{members2,cpus2}
}

# --- pieces ----------------------------------------------------------------------------------

# Rules that do not match, before the one that does.
_other_rules()
{
	local i
	for ((i = 0; i < other_rules; i++)); do
		echo "ip daddr 10.9.$((i / 250)).$((i % 250 + 1)) meta mark set $((divert_mark + i))"
	done
}

_nft_rule()	# HOOK STATEMENT: for all that goes to the server
{
	ip netns exec "$router" nft -f - <<-EOT
		table ip bench {
			chain bench {
				type filter hook $1 priority -150
				$(_other_rules)
				ip daddr $server_ip udp dport $ports $2
				ip daddr $server_ip tcp dport 5000 $2
			}
		}
	EOT
}

_conntrack()
{
	ip netns exec "$router" nft -f - <<-EOT
		table ip bench_conntrack {
			chain forward {
				type filter hook forward priority 0
				ct state established accept
			}
		}
	EOT
}

_divert_load()
{
	[ -d /proc/sys/net/divert ] || [ -d /sys/module/divert ] || selftests/insmod || return 4
}

_start()	# PROGRAM ARGUMENT...: on the router, until it says that it is ready; its pid: STARTED
{
	local word=''
	rm -f "$tmp/ready"
	mkfifo "$tmp/ready"
	ip netns exec "$router" "$@" >"$tmp/ready" &
	STARTED=$!
	# A program that ends before gives no word but its status.
	read -r word <"$tmp/ready" || true
	[ "$word" = ready ] || wait $STARTED
}

_hop()		# PROGRAM OPTION...
{
	local status=0
	_start "$programs/$1" ${rewrite:+-r} "${@:2}" || status=$?
	pid+=" $STARTED"
	return $status
}

_beside()	# PROGRAM ARGUMENT...: what else runs on the router
{
	local status=0
	_start "$@" || status=$?
	extra_pid=$STARTED
	return $status
}

# --- extras ----------------------------------------------------------------------------------

# So many share the port, each on a CPU of its own; packets go by flow, or to the CPU's own member.
_members()	# NUMBER [WORD]
{
	[ "$(nproc)" -ge "$1" ] || { echo "fewer than $1 CPUs" >&2; return 4; }
	members=$1 member=member${2:+-$2} ports=5000-5099
}

_extra()	# WORD
{
	case $1 in
	ct) _conntrack ;;
	ports*) _divert_load &&
		ulimit -n 20000 &&
		_beside build/selftests/tools/manyports 10000 "${1#ports}" ;;
	netns*) _divert_load && _beside "$programs/netns" "${1#netns}" ;;
	members*) _members "${1#members}" ;;
	cpus*) _members "${1#cpus}" cpu ;;
	rules*) other_rules=${1#rules} ;;
	*) echo "no scenario $scenario: unknown extra '$1'" >&2; return 1 ;;
	esac
}

# --- kinds -----------------------------------------------------------------------------------

_fwd()		# [loaded|open]: nothing; divert.ko there; a divert socket open
{
	case ${1-} in
	'') ;;
	loaded) _divert_load ;;
	open) _divert_load && _hop divert ;;
	*) return 2 ;;
	esac
}

_tun()		# MODE-OPTION...
{
	local dev=tun0
	_hop tun-relay "$@" || return
	ip netns exec "$router" sysctl -qw net.ipv4.conf.$dev.rp_filter=0 &&
		ip -n "$router" link set $dev up &&
		ip -n "$router" rule add iif r0 lookup 100 &&
		ip -n "$router" route add default dev $dev table 100
}

_divert()	# in|out WORD...
{
	local hook mode='' in_place=0 word
	case $1 in
	in) hook=prerouting ;;
	out) hook=postrouting ;;
	*) return 2 ;;
	esac
	for word in "${@:2}"; do
		case $word in
		ip[12]) in_place=${word#ip} ;;
		one|batch|gso|hold|records) mode=${mode:+$mode-}$word ;;
		*) return 2 ;;
		esac
	done
	_divert_load && _in_place "$in_place" && _divert_members "${mode:-batch}" &&
		_nft_rule $hook "meta mark set $divert_mark"
}

_divert_members()	# MODE
{
	local i
	if [ "$members" = 1 ]; then
		_hop divert -m "$1"
		return
	fi
	for ((i = 0; i < members; i++)); do
		_hop divert -m "$1-$member" || return
		taskset -cp $i "$STARTED" >/dev/null || return
	done
}

_in_place()	# 0|1|2
{
	[ "$1" != 0 ] || return 0
	[ -e /proc/sys/net/divert/in_place ] ||
		{ echo "net.divert.in_place: not known to this divert.ko" >&2; return 4; }
	ip netns exec "$router" sysctl -qw net.divert.in_place="$1"
}

_kind()		# KIND WORD...
{
	case $1 in
	fwd) _fwd "${@:2}" ;;
	fwdnft) _nft_rule prerouting "meta mark set $divert_mark" ;;
	nfqnaive) _hop nfq-naive && _nft_rule prerouting "queue num 0" ;;
	nfqtuned) _hop nfq-tuned && _nft_rule prerouting "queue num 0" ;;
	nfqmeta) _hop nfq-tuned -m meta && _nft_rule prerouting "queue num 0" ;;
	tun) _tun ;;
	tunvnet) _tun -m vnet ;;
	raw) no_tcp=1; _hop raw-hack -m r0 && _nft_rule prerouting 'iifname "r0" drop' ;;
	udp) no_tcp=1; target=$router_ip; _hop udp-relay -m "$server_ip" ;;
	divert) _divert "${@:2}" ;;
	*) return 2 ;;
	esac
}

scenario_start()	# of $scenario; 4: this kernel cannot do it
{
	local words extras extra status=0 base=${scenario%%+*}
	rewrite='' no_tcp='' target='' other_rules=0 members=1 ports=5000
	case $base in
	*rw) rewrite=1 base=${base%rw} base=${base%-} ;;
	esac
	IFS=- read -ra words <<<"$base"
	IFS=+ read -ra extras <<<"${scenario#"${scenario%%+*}"}"
	for extra in "${extras[@]}"; do
		[ -z "$extra" ] || _extra "$extra" || return
	done
	_kind "${words[@]}" || status=$?
	[ $status != 2 ] || echo "no scenario $scenario: see tools/bench/README.md" >&2
	return $status
}

scenario_stop()
{
	local p
	for p in $pid $extra_pid; do
		kill "$p" 2>/dev/null || true
		wait "$p" 2>/dev/null || true
	done
	pid='' extra_pid=''
}
