#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What divertctl watches and finds:
#
#	client c0 ─────── r0 router r1 ─────── s0 server
#	                       │
#	             daemons, and divertctl dump, monitor, doctor
#
# Proves that dump shows and captures what is diverted while the packets go on, that tshark reads
# the capture with interface, direction and comment, that monitor's lines have rates, and that
# doctor finds each problem that it claims to find, and none where there is none.
# TIMEOUT=600
# shellcheck disable=SC2016 # for eval
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$here/tools/traffic.sh"

divertctl=$here/../build/divertctl/divertctl

ctl()		# ARGUMENT...: on the router
{
	in_ns "$router" "$divertctl" "$@"
}

diag_start()
{
	modprobe -q inet_diag || true
	insmod "$here/../build/$(uname -r)/divert_diag.ko"
}

# --- dump ------------------------------------------------------------------------------------

dump_start()	# ARGUMENT...: output in $tmp/dump
{
	spawn "$router" "$divertctl" dump "$@" >"$tmp/dump" 2>"$tmp/dump.err"
	dump=$SPAWNED
	wait_until 10 grep -q '^watching' "$tmp/dump.err" || { cat "$tmp/dump.err"; return 1; }
}

dump_ends()	# N: by itself, with so many packets
{
	wait_until 10 grep -qx "$1 packets, 0 lost" "$tmp/dump.err" && wait "$dump"
}

dumped()	# N REGEX
{
	local n
	n=$(grep -cE -- "$2" "$tmp/dump" || true)
	[ "$n" = "$1" ] || { echo "$n lines, expected $1"; cat "$tmp/dump" "$tmp/dump.err"; return 1; }
}

on_screen()
{
	ctl add 100 divert 7000 icmp from any to any via r0 >/dev/null
	ctl add 200 divert 7000 icmp6 from any to any icmp6types 128,129 via r0 >/dev/null
	divertd_start d "$router" 7000

	dump_start -c 12 7000
	check "divertctl: dump: IPv4 pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: dump: IPv6 pings pass" pings 3 "$client" fd00:2::1
	check "divertctl: dump ends after 12 packets" dump_ends 12
	check "divertctl: dump shows what came in" \
		dumped 3 '^[0-9:.]+ port 7000 cookie 100 in recv r0  10\.0\.1\.1 > 10\.0\.2\.1 proto 1 84 bytes$'
	check "divertctl: dump shows what went out" \
		dumped 3 ' port 7000 cookie 100 out recv r1 xmit r0  10\.0\.2\.1 > 10\.0\.1\.1 proto 1 84 bytes$'
	check "divertctl: dump shows IPv6" \
		dumped 3 ' cookie 200 in recv r0  fd00:1::1 > fd00:2::1 proto 58 104 bytes$'
	check "divertctl: dump: the daemon had all of it" has_seen 12 d

	dump_start -c 3 rule 200
	check "divertctl: dump rule: pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: dump rule: more pings pass" pings 2 "$client" fd00:2::1
	check "divertctl: dump rule ends after 3 packets" dump_ends 3
	check "divertctl: dump rule shows its packets only" dumped 3 ' cookie 200 '

	dump_start 7000 icmp and dst host 10.0.2.1
	check "divertctl: dump with a filter: pings pass" pings 3 "$client" 10.0.2.1
	check "divertctl: dump with a filter shows all it accepts" wait_until 10 dumped 3 ' > 10\.0\.2\.1 '
	kill -INT "$dump"
	check "divertctl: dump ends by SIGINT" dump_ends 3
	check "divertctl: dump with a filter shows nothing else" dumped 3 bytes
}

tshark_fields()	# FIELD...: a line a packet
{
	local field fields=()
	for field; do
		fields+=(-e "$field")
	done
	tshark -n -r "$tmp/capture.pcapng" -T fields "${fields[@]}" 2>"$tmp/tshark.err"
}

captured()	# N LINE FIELD...: so many packets have these values
{
	local n=$1 line=$2
	shift 2
	tshark_fields "$@" >"$tmp/fields" || { cat "$tmp/tshark.err"; return 1; }
	[ "$(grep -cxF -- "$line" "$tmp/fields")" = "$n" ] || { cat "$tmp/fields"; return 1; }
}

file_info()	# REGEX: of what capinfos says
{
	capinfos "$tmp/capture.pcapng" >"$tmp/capinfos" || return
	grep -E -- "$1" "$tmp/capinfos" || { cat "$tmp/capinfos"; return 1; }
}

to_file()
{
	local tab=$'\t'
	ctl add 100 divert 7000 icmp from any to any via r0 >/dev/null
	ctl add 200 divert 7000 icmp from me to any icmptypes 8 out >/dev/null
	divertd_start d "$router" 7000

	dump_start -c 8 -w "$tmp/capture.pcapng" 7000
	check "divertctl: dump -w: pings pass" pings 3 "$client" 10.0.2.1 -s 31
	check "divertctl: dump -w: pings from here pass" pings 2 "$router" 10.0.2.1
	check "divertctl: dump -w ends after 8 packets" dump_ends 8
	check "divertctl: capinfos reads the file" file_info '^File type: +Wireshark/\.\.\. - pcapng$'
	check "divertctl: the file has the packets" file_info '^Number of packets: +8$'
	check "divertctl: the file has raw IP" file_info '^File encapsulation: +Raw IP$'
	check "divertctl: the file has time in nanoseconds" file_info 'Time precision = nanoseconds'
	check "divertctl: the file has its maker" file_info '^Capture application: +divertctl [0-9.]+$'
	check "divertctl: the file has direction, interface and comment of what came in" \
		captured 3 "10.0.1.1${tab}r0${tab}0x00000001${tab}divert port 7000 cookie 100 in recv r0" \
		ip.src frame.interface_name frame.packet_flags_direction frame.comment
	check "divertctl: and of what went out" \
		captured 3 "10.0.2.1${tab}r0${tab}0x00000002${tab}divert port 7000 cookie 100 out recv r1 xmit r0" \
		ip.src frame.interface_name frame.packet_flags_direction frame.comment
	check "divertctl: and of what was made here" \
		captured 2 "10.0.2.2${tab}r1${tab}0x00000002${tab}divert port 7000 cookie 200 out xmit r1 uid 0" \
		ip.src frame.interface_name frame.packet_flags_direction frame.comment
	check "divertctl: the file has whole packets of odd length" \
		captured 6 "59${tab}59${tab}59" frame.len frame.cap_len ip.len
}

fails_with()	# REGEX ARGUMENT...
{
	local regex=$1 status=0
	shift
	ctl "$@" >"$tmp/said" 2>&1 || status=$?
	cat "$tmp/said"
	[ $status != 0 ] && grep -qE "$regex" "$tmp/said"
}

says_why()
{
	check "divertctl: dump tells a wrong filter" fails_with 'foo bar: not a filter: ' dump 7000 foo bar
	check "divertctl: dump tells a rule that is not there" fails_with 'rule 5: there is none' dump rule 5
	check "divertctl: dump tells a file that cannot be" \
		fails_with '/none/x: No such file' dump -w /none/x 7000
	dump_start -c 1 7000
	check "divertctl: dump tells that nobody owns the port" \
		grep -q 'nobody else has port 7000.*no_listener=accept' "$tmp/dump.err"
	stop "$dump"
}

# --- monitor ---------------------------------------------------------------------------------

# Rates are not compared to a clock: those of all lines add up to what was sent.
adds_up()	# N: diverted/s of the port, in intervals of a second
{
	awk -v n="$1" '/ port 7000 / { for (i = 1; i < NF; i++) if ($i == "diverted/s") sum += $(i + 1) }
		END { exit !(sum > n / 3 && sum < n * 3) }' "$tmp/monitor" || { cat "$tmp/monitor"; return 1; }
}

shows()		# TEXT: on the screen
{
	wait_until 10 grep -qa -- "$1" "$tmp/screen" || { cat -v "$tmp/screen"; return 1; }
}

has_ended()	# PID, of a child
{
	local state
	state=$(ps -o stat= -p "$1") || return 0
	[ "${state:0:1}" = Z ]
}

monitored()
{
	ctl add 100 divert 7000 icmp from any to any in >/dev/null
	divertd_start d "$router" 7000
	check "divertctl: monitor without sock_diag knows no rates of sockets" eval \
		'ctl monitor -i 0.1 -n 1 | grep -E " port 7000 owner divertd waiting \? .* dropped/s \?$"'
	diag_start
	spawn "$router" "$divertctl" monitor -i 1 >"$tmp/monitor" 2>&1
	check "divertctl: monitor writes lines" wait_until 10 grep -q ' port 7000 ' "$tmp/monitor"
	check "divertctl: monitor: pings pass" pings 50 "$client" 10.0.2.1
	check "divertctl: monitor has totals" \
		wait_until 10 grep -qE '^[0-9:]{8} total sockets 1 diverted/s [1-9][0-9.]* bytes/s [1-9]' "$tmp/monitor"
	check "divertctl: monitor has the port's rates" wait_until 10 adds_up 100
	check "divertctl: monitor's lines are in form" \
		eval '! grep -vE "^[0-9:]{8} (total sockets [0-9]+|port [0-9]+ owner [^ ]+ waiting [0-9]+ memory [0-9]+%)( (diverted|bytes|read|dropped)/s [0-9.]+){4}$" "$tmp/monitor"'
	stop "$SPAWNED"
	check "divertctl: monitor -n ends by itself" eval '[ "$(ctl monitor -i 0.1 -n 3 | grep -c total)" = 3 ]'

	# On a terminal, "q" ends it.
	mkfifo "$tmp/keys"
	exec 9<>"$tmp/keys"
	# What a shell has in the background reads /dev/null, unless it says so itself.
	# shellcheck disable=SC2016 # for the inner shell
	spawn "$router" bash -c 'exec env TERM=xterm script -qec "$0 monitor -i 0.2" /dev/null <&9' \
		"$divertctl" >"$tmp/screen"
	check "divertctl: the screen shows the port" shows 7000
	check "divertctl: the screen shows the owner" shows divertd
	echo q >&9
	check "divertctl: q ends the screen" wait_until 10 has_ended "$SPAWNED"
	exec 9>&-
	rmmod divert_diag
}

# --- doctor ----------------------------------------------------------------------------------

finds()		# REGEX: a line of doctor's
{
	ctl doctor >"$tmp/doctor" 2>&1 || true
	grep -qE -- "$1" "$tmp/doctor" || { cat "$tmp/doctor"; return 1; }
}

finds_nothing()	# REGEX
{
	ctl doctor >"$tmp/doctor" 2>&1 || true
	[ -s "$tmp/doctor" ] && ! grep -E -- "$1" "$tmp/doctor"
}

examined_hooks()
{
	if modprobe -q nfnetlink_hook; then
		check "divertctl: doctor misses hooks where no socket was" \
			eval 'in_ns "$client" "$divertctl" doctor | grep "^note .*hooks: not there yet"'
	else
		skip "divertctl: doctor misses hooks where no socket was" "this kernel does not list hooks"
		check "divertctl: doctor says that the kernel does not list hooks" \
			eval 'in_ns "$client" "$divertctl" doctor | grep "^note .*does not list hooks"'
	fi
	divertd_start d "$router" 7000
	check "divertctl: doctor sees the module" finds '^ok +module: loaded, version [0-9.]+$'
	check "divertctl: doctor sees that it is not signed" finds '^note +signature: none that the kernel knows'
	check "divertctl: doctor sees the hooks" finds '^ok +hooks: in place'
	check "divertctl: doctor finds no problem where there is none" ctl doctor
	check "divertctl: doctor says nothing of what is not there" \
		finds_nothing '^(problem|warning)'
	check "divertctl: doctor's findings are one line each" eval \
		'! ctl doctor | grep -vE "^(ok     |note   |warning|problem)  ?[a-z]+: "'
}

examined_rules()
{
	ctl add 100 divert 7009 icmp from any to any in >/dev/null
	divertd_start d "$router" 7000
	check "divertctl: doctor finds a rule that nobody serves" \
		finds '^problem +rule: 100: nobody listens on port 7009: its packets are dropped'
	check_fails "divertctl: doctor's status says so" ctl doctor
	in_ns "$router" sysctl -qw net.divert.no_listener=accept
	check "divertctl: doctor knows that they pass" finds '^note +rule: 100: nobody listens .* pass$'
	in_ns "$router" sysctl -qw net.divert.no_listener=auto

	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x0000fff0
	check "divertctl: doctor finds rules of other masks" \
		finds '^problem +rule: 100: sets mark 0x1b610064, by net.divert.s masks it should be 0x1b610640'
	in_ns "$router" sysctl -qw net.divert.cookie_mask=0x0000ffff

	check "divertctl: doctor: a packet for nobody is lost" ping_lost "$client" 10.0.2.1
	check "divertctl: doctor finds packets for nobody" finds '^warning +losses: [1-9][0-9]* packets dropped'
	in_ns "$router" sysctl -qw net.divert.defrag=0 net.divert.rcvbuf=131072
	check "divertctl: doctor finds that fragments stay" finds '^note +defrag: '
	check "divertctl: doctor finds small buffers" finds '^note +rcvbuf: net.divert.rcvbuf is 131072'
	in_ns "$router" sysctl -qw net.divert.defrag=1 net.divert.rcvbuf=4194304
}

examined_marks()
{
	divertd_start d "$router" 7000
	divert_rule "$router" prerouting 7000 100 icmp type echo-request
	check "divertctl: doctor takes a divert rule for no clash" finds_nothing 'fwmark: table'
	add_rule "$router" kube post postrouting 0 meta mark set meta mark or 0x4000
	check "divertctl: doctor finds rules that set bits of ours" \
		finds '^warning +fwmark: table kube, chain post sets mark 0x4000 '
	in_ns "$router" nft delete table ip kube
	in_ns "$router" ip rule add fwmark 0xca6c table 51820
	check "divertctl: doctor finds rules of routing by mark" \
		finds '^warning +fwmark: ip rule [0-9]+ looks at mark 0xca6c/0xffffffff'
	in_ns "$router" ip -6 rule add not fwmark 0xca6c table 51820
	check "divertctl: doctor finds those of IPv6" finds '^warning +fwmark: ip -6 rule [0-9]+ looks at mark 0xca6c'
	in_ns "$router" ip rule del fwmark 0xca6c table 51820
	in_ns "$router" ip -6 rule del not fwmark 0xca6c table 51820
	check "divertctl: doctor finds no more" finds_nothing 'warning +fwmark'
}

examined_tables()
{
	divertd_start d "$router" 7000
	check "divertctl: doctor misses a guard" finds '^note +guard: no rule drops'
	add_rule "$router" guard in prerouting -99 meta mark and 0xffff0000 == 0x1b580000 drop
	check "divertctl: doctor sees a guard" finds '^ok +guard: '
	check "divertctl: doctor sees no flowtable" finds_nothing flowtable
	in_ns "$router" nft 'add table inet fast; add flowtable inet fast ft { hook ingress priority 0; devices = { r0, r1 }; }'
	check "divertctl: doctor finds a flowtable" finds '^warning +flowtable: ft in table fast: .* bypass'
}

# Outside of all namespaces: what is told of the machine. A command prepares files first.
finds_here()	# REGEX [COMMAND]
{
	unshare -m bash -c "${2-true}; $divertctl doctor" >"$tmp/doctor" 2>&1 || true
	grep -qE -- "$1" "$tmp/doctor" || { cat "$tmp/doctor"; return 1; }
}

put_file()	# FILE TEXT: a command that puts a file in the place of one
{
	echo "echo '$2' >$tmp/file && mount --bind $tmp/file $1"
}

examined_machine()
{
	local lockdown="mount -t tmpfs t /sys/kernel/security; echo 'none [integrity] confidentiality' >/sys/kernel/security/lockdown"
	local modules
	modules=/lib/modules/$(uname -r)/modules.dep

	check "divertctl: doctor finds another version" \
		finds_here '^warning +module: loaded, version 9.9, but divertctl is [0-9.]+: ' \
		"$(put_file /sys/module/divert/version 9.9)"
	check "divertctl: doctor sees a valid signature" finds_here '^ok +signature: ' \
		"$(put_file /sys/module/divert/taint O)"
	check "divertctl: doctor sees that boot does not load it" finds_here '^note +boot: '
	check "divertctl: doctor sees that boot does" finds_here '^ok +boot: ' \
		'mount -t tmpfs t /etc/modules-load.d; echo divert >/etc/modules-load.d/divert.conf'
	check "divertctl: doctor finds lockdown" finds_here '^problem +signature: the kernel is locked down' \
		"$lockdown"

	wait_until 10 rmmod divert
	check "divertctl: doctor finds a module that is not installed" \
		finds_here "^problem +module: not installed for kernel $(uname -r | sed 's/[.+]/\\&/g'): "
	check "divertctl: doctor finds one that is not loaded" \
		finds_here '^problem +module: installed but not loaded: modprobe divert' \
		"$(put_file "$modules" 'updates/dkms/divert.ko:')"
	check "divertctl: doctor finds that lockdown keeps it out" \
		finds_here '^problem +signature: the kernel is locked down' "$lockdown"
	check "divertctl: add needs the module" \
		fails_with 'the divert module is not loaded' add divert 7000 ip from any to any
	check "divertctl: show needs the module" fails_with 'the divert module is not loaded' show
	"$here/insmod"
}

# A daemon that has stopped reading
examined_queues()
{
	ctl add 100 divert 7000 icmp from any to any in recv r0 >/dev/null
	in_ns "$router" sysctl -qw net.divert.rcvbuf=131072
	divertd_start d "$router" 7000
	divertd_signal d STOP
	in_ns "$client" ping -n -q -i 0.002 -c 400 -s 1000 -W 1 10.0.2.1 >"$tmp/ping" || true
	check "divertctl: doctor finds that packets were dropped" \
		finds '^warning +queue: port 7000: [1-9][0-9]* packets dropped'
	diag_start
	check "divertctl: doctor finds a full queue" \
		finds '^warning +queue: port 7000: [0-9]+% full with [0-9]+ packets: its daemon \(divertd\)'
	rmmod divert_diag
	divertd_signal d CONT
	in_ns "$router" sysctl -qw net.divert.rcvbuf=4194304
}

setup_routed
run on_screen
run to_file
run says_why
run monitored
run examined_hooks
run examined_rules
run examined_marks
run examined_tables
run examined_queues
run examined_machine
