/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_LINUX_INET_DIAG_H
#define _DIVERT_COMPAT_LINUX_INET_DIAG_H

#include <linux/version.h>
#include_next <linux/inet_diag.h>

/* v6.9: a handler names its module. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define INET_DIAG_HANDLER_OWNER	.owner = THIS_MODULE,
#else
#define INET_DIAG_HANDLER_OWNER
#endif

#endif
