/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _LIBDIVERT_INTERNAL_H
#define _LIBDIVERT_INTERNAL_H

#include <libdivert/libdivert.h>

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

struct divert {
	int fd;
	int family;	/* AF_INET or AF_INET6 */
};

#endif /* _LIBDIVERT_INTERNAL_H */
