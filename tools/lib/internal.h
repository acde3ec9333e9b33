/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _LIBDIVERT_INTERNAL_H
#define _LIBDIVERT_INTERNAL_H

#include <libdivert/libdivert.h>

struct divert {
	int fd;
	int family;	/* AF_INET or AF_INET6 */
};

#endif /* _LIBDIVERT_INTERNAL_H */
