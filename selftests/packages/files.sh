# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What both boots need to know.
# shellcheck disable=SC2034 # for them
: "${here:?}"

before=$here/../build/packages-test/before	# the files of the system without our packages
mapfile -t packages < <(find "$here/../build/packages" -name '*.deb' ! -name '*-dbgsym_*')

# All files of the system, but for what any package's coming and going, or the run itself, leaves:
# logs, caches, the package lists' copies, and the key that DKMS makes for itself.
list_files()
{
	find / -xdev \( -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache \
		-o -path /var/lib/systemd -o -path "$(readlink -f "$here/..")" \) -prune \
		-o ! -path '/var/lib/dpkg/*-old' ! -path '/var/lib/dkms/mok.*' -print | sort
}
