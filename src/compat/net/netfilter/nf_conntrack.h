/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DIVERT_COMPAT_NET_NETFILTER_NF_CONNTRACK_H
#define _DIVERT_COMPAT_NET_NETFILTER_NF_CONNTRACK_H

#include <linux/module.h>
#include <linux/version.h>
#include_next <net/netfilter/nf_conntrack.h>

/* v5.17, and some releases of older ones: they are a refcount_t, which is an
 * atomic_t inside.
 */
static inline unsigned int divert_ct_refs(const struct nf_conn *ct)
{
	return atomic_read((const atomic_t *)&ct->ct_general.use);
}

/* The id of a connection, without linking to conntrack, which would load it
 * everywhere; 0 if it cannot be had. Called under RCU.
 *
 * v6.16: struct nf_ct_hook has get_id(). Before, conntrack's own function is
 * found by name when the first connection is seen. Conntrack cannot be unloaded
 * from then on until divert_ct_id_exit().
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
static inline u32 divert_ct_id(const struct nf_conn *ct)
{
	const struct nf_ct_hook *hook = rcu_dereference(nf_ct_hook);

	return hook ? hook->get_id(&ct->ct_general) : 0;
}

static inline void divert_ct_id_exit(void)
{
}
#else
static u32 (*divert_ct_get_id)(const struct nf_conn *ct);

static inline u32 divert_ct_id(const struct nf_conn *ct)
{
	u32 (*get_id)(const struct nf_conn *ct) = READ_ONCE(divert_ct_get_id);

	if (!get_id) {
		get_id = symbol_get(nf_ct_get_id);
		if (!get_id)
			return 0;
		/* One of several that come at once. */
		if (cmpxchg(&divert_ct_get_id, NULL, get_id))
			symbol_put(nf_ct_get_id);
	}
	return get_id(ct);
}

static inline void divert_ct_id_exit(void)
{
	if (divert_ct_get_id)
		symbol_put(nf_ct_get_id);
}
#endif

#endif
