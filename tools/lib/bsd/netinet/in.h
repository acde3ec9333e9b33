/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <netinet/in.h> as programs for BSD expect it: with IPPROTO_DIVERT.
 *
 * PF_DIVERT must not be there. Programs that find it prefer it, and its number
 * on FreeBSD, 44, is AF_XDP on Linux.
 */
#ifndef _LIBDIVERT_BSD_NETINET_IN_H
#define _LIBDIVERT_BSD_NETINET_IN_H

/* No complaint about extensions from this file. */
#pragma GCC system_header

#include_next <netinet/in.h>

#ifndef IPPROTO_DIVERT
#define IPPROTO_DIVERT	258
#endif

#endif /* _LIBDIVERT_BSD_NETINET_IN_H */
