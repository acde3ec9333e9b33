# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Completion of divertctl's command line for bash.

_divertctl_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "${COMP_WORDS[COMP_CWORD]}")
}

_divertctl_interfaces()
{
	local interfaces=(/sys/class/net/*)
	echo "${interfaces[@]##*/}"
}

_divertctl_ports()
{
	awk 'NR > 1 { sub(":", "", $1); print $1 }' /proc/net/divert 2>/dev/null
}

_divertctl_rules()
{
	divertctl list 2>/dev/null | awk '{ print $1 + 0 }'
}

# The word before says what may follow.
_divertctl_rule()
{
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	divert | tee) _divertctl_words "$(_divertctl_ports)" ;;
	from | to) _divertctl_words any me me6 not ;;
	recv | xmit | via) _divertctl_words "$(_divertctl_interfaces)" ;;
	uid) mapfile -t COMPREPLY < <(compgen -u -- "${COMP_WORDS[COMP_CWORD]}") ;;
	gid) mapfile -t COMPREPLY < <(compgen -g -- "${COMP_WORDS[COMP_CWORD]}") ;;
	tcpflags) _divertctl_words fin syn rst psh ack urg ece cwr ;;
	src-port | dst-port | icmptypes | icmp6types | ipttl) ;;
	*)
		case " ${COMP_WORDS[*]:2:COMP_CWORD-2} " in
		*" to "*) _divertctl_words in out recv xmit via not src-port dst-port established \
			setup tcpflags icmptypes icmp6types ipttl uid gid diverted ;;
		*" from "*) _divertctl_words to ;;
		*" divert "* | *" tee "*) _divertctl_words ip ip4 ip6 tcp udp sctp icmp icmp6 from ;;
		*) _divertctl_words divert tee --replace --dry-run ;;
		esac
		;;
	esac
}

_divertctl()
{
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		_divertctl_words show stats monitor add delete list flush mark dump doctor \
			--help --version
		return
	fi
	case ${COMP_WORDS[1]} in
	show) _divertctl_words --json --help ;;
	stats) _divertctl_words --json --prometheus --help ;;
	monitor) _divertctl_words --interval --count --help ;;
	add) _divertctl_rule ;;
	delete) _divertctl_words "$(_divertctl_rules)" ;;
	list) _divertctl_words --counters --nft --help ;;
	mark) _divertctl_words --define --help "$(_divertctl_ports)" ;;
	dump)
		case ${COMP_WORDS[COMP_CWORD - 1]} in
		rule) _divertctl_words "$(_divertctl_rules)" ;;
		-w | --write) mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}") ;;
		*) _divertctl_words rule --count --write --help "$(_divertctl_ports)" ;;
		esac
		;;
	esac
}

complete -F _divertctl divertctl
