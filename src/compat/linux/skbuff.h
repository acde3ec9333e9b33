/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_LINUX_SKBUFF_H
#define _DIVERT_COMPAT_LINUX_SKBUFF_H

#include <linux/version.h>
#include_next <linux/skbuff.h>

/* v5.12: a CPU keeps some heads of packets at hand. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 12, 0)
#define napi_build_skb		build_skb
#endif

/* v5.18 has the drop reasons used here; before, packets die without one. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
#define skb_drop_reason		divert_skb_drop_reason

enum skb_drop_reason {
	DIVERT_SKB_DROP_REASON_NONE,
};

#define SKB_DROP_REASON_NOT_SPECIFIED	DIVERT_SKB_DROP_REASON_NONE
#define SKB_DROP_REASON_NO_SOCKET	DIVERT_SKB_DROP_REASON_NONE
#define SKB_DROP_REASON_SOCKET_RCVBUFF	DIVERT_SKB_DROP_REASON_NONE
#define SKB_DROP_REASON_NOMEM		DIVERT_SKB_DROP_REASON_NONE

static inline void divert_kfree_skb_reason(struct sk_buff *skb,
					   enum skb_drop_reason reason)
{
	kfree_skb(skb);
}

#define kfree_skb_reason	divert_kfree_skb_reason
#endif

#endif
