// SPDX-License-Identifier: GPL-2.0
/*
 * What user space sees has one layout on all architectures, 32 or 64 bits wide,
 * and keeps it: structures only grow at their end.
 */
#include <linux/build_bug.h>
#include <linux/stddef.h>

#include <linux/divert.h>

#define DIVERT_AT(offset, name, member) \
	static_assert(offsetof(struct name, member) == (offset))
#define DIVERT_SIZE(size, name) \
	static_assert(sizeof(struct name) == (size))

DIVERT_AT(0, divert_limits, size);
DIVERT_AT(4, divert_limits, packets);
DIVERT_AT(8, divert_limits, bytes);
DIVERT_AT(16, divert_limits, age);
DIVERT_AT(20, divert_limits, full);
DIVERT_AT(21, divert_limits, old);
DIVERT_AT(22, divert_limits, close);
DIVERT_AT(23, divert_limits, reserved);
DIVERT_SIZE(24, divert_limits);

DIVERT_AT(0, divert_hold, size);
DIVERT_AT(4, divert_hold, headers);
DIVERT_AT(8, divert_hold, packets);
DIVERT_AT(12, divert_hold, flags);
DIVERT_AT(16, divert_hold, bytes);
DIVERT_SIZE(24, divert_hold);

DIVERT_AT(0, divert_stats, size);
DIVERT_AT(4, divert_stats, reserved);
DIVERT_AT(8, divert_stats, diverted);
DIVERT_AT(16, divert_stats, bytes);
DIVERT_AT(24, divert_stats, teed);
DIVERT_AT(32, divert_stats, read);
DIVERT_AT(40, divert_stats, unread);
DIVERT_AT(48, divert_stats, expired);
DIVERT_AT(56, divert_stats, released);
DIVERT_AT(64, divert_stats, passed);
DIVERT_AT(72, divert_stats, full);
DIVERT_AT(80, divert_stats, nomem);
DIVERT_AT(88, divert_stats, inject_in);
DIVERT_AT(96, divert_stats, inject_out);
DIVERT_AT(104, divert_stats, congested);
DIVERT_AT(112, divert_stats, einval);
DIVERT_AT(120, divert_stats, eafnosupport);
DIVERT_AT(128, divert_stats, eaddrnotavail);
DIVERT_AT(136, divert_stats, emsgsize);
DIVERT_AT(144, divert_stats, eacces);
DIVERT_AT(152, divert_stats, enetdown);
DIVERT_AT(160, divert_stats, eunreach);
DIVERT_AT(168, divert_stats, enobufs);
DIVERT_AT(176, divert_stats, eother);
DIVERT_AT(184, divert_stats, held);
DIVERT_AT(192, divert_stats, held_passed);
DIVERT_AT(200, divert_stats, held_dropped);
DIVERT_AT(208, divert_stats, held_lost);
DIVERT_AT(216, divert_stats, held_released);
DIVERT_AT(224, divert_stats, estale);
DIVERT_SIZE(232, divert_stats);

DIVERT_AT(0, divert_info, size);
DIVERT_AT(4, divert_info, flags);
DIVERT_AT(8, divert_info, id);
DIVERT_AT(16, divert_info, iif);
DIVERT_AT(20, divert_info, oif);
DIVERT_AT(24, divert_info, ifname);
DIVERT_AT(40, divert_info, hook);
DIVERT_AT(41, divert_info, family);
DIVERT_AT(42, divert_info, port);
DIVERT_AT(44, divert_info, cookie);
DIVERT_AT(46, divert_info, vlan);
DIVERT_AT(48, divert_info, mark);
DIVERT_AT(52, divert_info, hash);
DIVERT_AT(56, divert_info, len);
DIVERT_AT(60, divert_info, frag_max);
DIVERT_AT(64, divert_info, uid);
DIVERT_AT(68, divert_info, ct_mark);
DIVERT_AT(72, divert_info, sock_cookie);
DIVERT_AT(80, divert_info, cgroup);
DIVERT_AT(88, divert_info, ct_state);
DIVERT_AT(92, divert_info, ct_id);
DIVERT_SIZE(96, divert_info);

DIVERT_AT(0, divert_record, size);
DIVERT_AT(4, divert_record, len);
DIVERT_AT(8, divert_record, packet);
DIVERT_AT(12, divert_record, captured);
DIVERT_AT(16, divert_record, id);
DIVERT_AT(24, divert_record, flags);
DIVERT_AT(28, divert_record, offset);
DIVERT_AT(32, divert_record, addr);
DIVERT_SIZE(64, divert_record);
