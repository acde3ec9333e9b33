/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_LINUX_UIO_H
#define _DIVERT_COMPAT_LINUX_UIO_H

#include_next <linux/uio.h>

/* v6.2 says from which side the bytes come. */
#ifndef ITER_SOURCE
#define ITER_SOURCE	WRITE
#endif

#endif
