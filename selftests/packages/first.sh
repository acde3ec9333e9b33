#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The first boot: install the packages, use them, leave a daemon to be started at the next boot.
# shellcheck source=selftests/lib.sh
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
# shellcheck source=selftests/packages/files.sh
. "$here/packages/files.sh"
cd "$here/.."
release=$(uname -r)

install_all()
{
	dpkg -i "${packages[@]}"
}

# The module that modprobe finds is the one that DKMS has built here.
built()
{
	dkms status -m divert -k "$release" | grep ': installed' &&
		[[ $(modinfo -n divert) = /lib/modules/$release/updates/dkms/divert.ko* ]] &&
		[[ $(modinfo -n divert_diag) = /lib/modules/$release/updates/dkms/divert_diag.ko* ]] &&
		[ "$(modinfo -F version divert)" = "$(dpkg-query -W -f '${Version}' divert-dkms)" ]
}

loads()
{
	[ ! -e /sys/module/divert ] && modprobe divert && [ -e /proc/net/divert ]
}

# With what the packages have, and nothing of the tree.
program_builds()
{
	cat >"$tmp/program.c" <<-'END'
		#include <errno.h>
		#include <libdivert/libdivert.h>
		#include <stdio.h>
		int main(void)
		{
			struct divert *divert = divert_open(AF_INET);

			if (!divert)
				puts(divert_strerror(errno));
			return !divert || divert_bind(divert, 8668);
		}
	END
	# shellcheck disable=SC2046 # options are words
	cc -Wall -Werror -o "$tmp/program" "$tmp/program.c" $(pkg-config --cflags --libs libdivert) &&
		"$tmp/program" &&
		cc -Wall -Werror -o "$tmp/static" "$tmp/program.c" \
			"$(pkg-config --variable=libdir libdivert)/libdivert.a" \
			$(pkg-config --libs libpcap) && "$tmp/static"
}

bsd_program_builds()
{
	cat >"$tmp/bsd.c" <<-'END'
		#include <sys/socket.h>
		#include <netinet/in.h>
		int main(void)
		{
			return socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT) < 0;
		}
	END
	# shellcheck disable=SC2046
	cc -Wall -Werror -o "$tmp/bsd" "$tmp/bsd.c" $(pkg-config --cflags libdivert-bsd) && "$tmp/bsd"
}

demo()
{
	/usr/share/doc/divert-tools/examples/demo.sh /usr/libexec/divert/divert-print
}

manuals()
{
	ls /usr/share/man/man7/divert.7.gz /usr/share/man/man3/libdivert.3.gz \
		/usr/share/man/man8/divertctl.8.gz
}

# The unit may load the module, too; at the next boot only modules-load.d shall.
leave_loading()
{
	systemctl mask modprobe@divert.service
}

# Also proves that the unit itself has nothing that systemd does not understand.
daemon_starts()
{
	echo 'DAEMON=/usr/libexec/divert/divert-pass 8668' >/etc/divert/test.conf &&
		systemctl enable --now divert@test &&
		! journalctl -b --no-pager | grep -E 'divert@.*(Unknown|Failed to parse)'
}

list_files >"$before"
check "packages: they install" install_all
check "packages: DKMS has built the modules for the running kernel" built
check "packages: modprobe loads the module" loads
check "packages: a program builds with libdivert-dev and runs" program_builds
check "packages: a program for BSD builds with libdivert-dev and runs" bsd_program_builds
check "packages: the manuals are there" manuals
check "packages: the demo works" demo
check "packages: divertctl finds no problem" divertctl doctor
check "packages: the unit starts a daemon" daemon_starts
leave_loading >/dev/null 2>&1 || bail "the unit cannot be masked"
