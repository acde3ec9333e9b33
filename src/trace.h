/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints: divert:queue, divert:reinject, divert:drop. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM divert

#if !defined(_DIVERT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _DIVERT_TRACE_H

#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include <net/net_namespace.h>

TRACE_EVENT(divert_queue,

	TP_PROTO(const struct net *net, const struct sk_buff *skb, u16 port,
		 u16 cookie),

	TP_ARGS(net, skb, port, cookie),

	TP_STRUCT__entry(
		__field(unsigned int,	netns)
		__field(const void *,	skbaddr)
		__field(unsigned int,	len)
		__field(u16,		port)
		__field(u16,		cookie)
	),

	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->skbaddr = skb;
		__entry->len = skb->len;
		__entry->port = port;
		__entry->cookie = cookie;
	),

	TP_printk("netns=%u skbaddr=%p len=%u port=%u cookie=%u",
		  __entry->netns, __entry->skbaddr, __entry->len,
		  __entry->port, __entry->cookie)
);

TRACE_EVENT(divert_reinject,

	TP_PROTO(const struct net *net, const struct sk_buff *skb,
		 bool incoming, u16 cookie),

	TP_ARGS(net, skb, incoming, cookie),

	TP_STRUCT__entry(
		__field(unsigned int,	netns)
		__field(const void *,	skbaddr)
		__field(unsigned int,	len)
		__field(bool,		incoming)
		__field(u16,		cookie)
	),

	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->skbaddr = skb;
		__entry->len = skb->len;
		__entry->incoming = incoming;
		__entry->cookie = cookie;
	),

	TP_printk("netns=%u skbaddr=%p len=%u %s cookie=%u",
		  __entry->netns, __entry->skbaddr, __entry->len,
		  __entry->incoming ? "in" : "out", __entry->cookie)
);

TRACE_EVENT(divert_drop,

	TP_PROTO(const struct net *net, const struct sk_buff *skb, int reason),

	TP_ARGS(net, skb, reason),

	TP_STRUCT__entry(
		__field(unsigned int,	netns)
		__field(const void *,	skbaddr)
		__field(unsigned int,	len)
		__field(int,		reason)
	),

	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->skbaddr = skb;
		__entry->len = skb->len;
		__entry->reason = reason;
	),

	/* The numbers are places in /proc/net/stat/divert; "diverted" is 0. */
	TP_printk("netns=%u skbaddr=%p len=%u reason=%d",
		  __entry->netns, __entry->skbaddr, __entry->len,
		  __entry->reason)
);

#endif /* _DIVERT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
