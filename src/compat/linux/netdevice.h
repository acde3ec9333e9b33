/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_LINUX_NETDEVICE_H
#define _DIVERT_COMPAT_LINUX_NETDEVICE_H

#include <linux/version.h>
#include_next <linux/netdevice.h>

/* v5.14: holding no device is fine. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 14, 0)
static inline void divert_dev_hold(struct net_device *dev)
{
	if (dev)
		dev_hold(dev);
}

static inline void divert_dev_put(struct net_device *dev)
{
	if (dev)
		dev_put(dev);
}

#define dev_hold	divert_dev_hold
#define dev_put		divert_dev_put
#endif

/* v5.17 brought trackers, v6.0 the name. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 17, 0)
#define netdev_hold(dev, tracker, gfp)	dev_hold(dev)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
#define netdev_hold	dev_hold_track
#endif

#endif
