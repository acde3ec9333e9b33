/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_LINUX_SYSCTL_H
#define _DIVERT_COMPAT_LINUX_SYSCTL_H

#include <linux/version.h>
#include_next <linux/sysctl.h>

/* v6.11 made the table that handlers get const. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define sysctl_table_t const struct ctl_table
#else
#define sysctl_table_t struct ctl_table
#endif

#endif
