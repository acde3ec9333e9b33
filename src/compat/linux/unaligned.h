/* SPDX-License-Identifier: GPL-2.0 */
/* v6.12 moved it here from asm/. */
#ifndef _DIVERT_COMPAT_LINUX_UNALIGNED_H
#define _DIVERT_COMPAT_LINUX_UNALIGNED_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include_next <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif
