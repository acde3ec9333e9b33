// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets leave the stack: read the mark, decide, hand over.
 *
 * A packet passes two stages, input (PRE_ROUTING) and output (LOCAL_OUT, then
 * POST_ROUTING). In each it is diverted by a rule whose cookie lies beyond the
 * one it resumes after, and by none twice.
 */

#include <linux/bitfield.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/netfilter/ipv4/nf_defrag_ipv4.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>

#include "divert.h"

/* IPv6 has the same numbers.
 * After the chains that set marks (mangle, -150), before destination NAT:
 */
#define DIVERT_PRIORITY_IN	(NF_IP_PRI_NAT_DST - 1)
/* After the chains that set marks there, before source NAT: */
#define DIVERT_PRIORITY_OUT	(NF_IP_PRI_NAT_SRC - 1)

/* This much of mark field @mask, shifted down. */
static u32 divert_field(u32 mark, u32 mask)
{
	return (mark & mask) >> __ffs(mask);
}

/**
 * divert_mark_resumed() - what a reinjected packet shows to the firewall
 * @conf: settings
 * @cookie: rule it resumes after
 *
 * Return: all ones in the port's bits, and @cookie or, where that does not
 * fit, the highest cookie that does; zero elsewhere.
 */
u32 divert_mark_resumed(const struct divert_conf *conf, u16 cookie)
{
	u32 mask = READ_ONCE(conf->cookie_mask);

	return READ_ONCE(conf->port_mask) |
	       min_t(u32, cookie, mask >> __ffs(mask)) << __ffs(mask);
}

/* Port in @field of a mark, 0 if it is not one of ours. */
static u32 divert_port_of(const struct divert_conf *conf, u32 field,
			  u32 field_max)
{
	u32 port = field + READ_ONCE(conf->port_base);

	if (!field || field == field_max ||
	    port < READ_ONCE(conf->port_range[0]) ||
	    port > READ_ONCE(conf->port_range[1]))
		return 0;
	return port;
}

static bool divert_mark_target(const struct divert_conf *conf, u32 mark,
			       struct divert_target *to)
{
	u32 port_mask = READ_ONCE(conf->port_mask);

	to->port = divert_port_of(conf, divert_field(mark, port_mask),
				  port_mask >> __ffs(port_mask));
	if (!to->port)
		return false;

	to->cookie = divert_field(mark, READ_ONCE(conf->cookie_mask)) ?:
		     DIVERT_COOKIE_LAST;
	to->tee = mark & READ_ONCE(conf->tee_mask);
	return true;
}

/**
 * divert_port_reachable() - can a mark name this port?
 * @conf: settings
 * @port: 1-65535
 */
bool divert_port_reachable(const struct divert_conf *conf, u32 port)
{
	u32 field_max = conf->port_mask >> __ffs(conf->port_mask);

	if (port <= conf->port_base || port - conf->port_base > field_max)
		return false;
	return divert_port_of(conf, port - conf->port_base, field_max);
}

static void divert_mark_clear(const struct divert_conf *conf,
			      struct sk_buff *skb)
{
	skb->mark &= ~divert_mark_ours(conf);
}

static void divert_mark_show(const struct divert_conf *conf,
			     struct sk_buff *skb, u16 cookie)
{
	divert_mark_clear(conf, skb);
	skb->mark |= divert_mark_resumed(conf, cookie);
}

/* The packet stays in the stack and, if it is ours, says so no longer than its
 * stage lasts.
 */
static unsigned int divert_pass(struct divert_net *dn, struct sk_buff *skb,
				const struct nf_hook_state *state,
				const struct divert_resume *resume, bool ours)
{
	if (likely(!resume->shown)) {
		if (ours)
			divert_mark_clear(&dn->conf, skb);
		return NF_ACCEPT;
	}

	if (!divert_stage_ends(skb, state)) {
		divert_mark_show(&dn->conf, skb, resume->cookie);
		return NF_ACCEPT;
	}
	divert_mark_clear(&dn->conf, skb);
	divert_resume_end(dn, skb, state);
	return NF_ACCEPT;
}

/* Nobody listens: does that cost the packet its life? */
static bool divert_absent_drops(const struct divert_net *dn)
{
	int policy = READ_ONCE(dn->conf.no_listener);

	return policy == DIVERT_NO_LISTENER_DROP ||
	       (policy == DIVERT_NO_LISTENER_AUTO && READ_ONCE(dn->opened));
}

/* Nobody listens, and that is fine. Until divert is used here, marks are other
 * people's and stay.
 */
static unsigned int divert_absent_pass(struct divert_net *dn,
				       struct sk_buff *skb,
				       const struct nf_hook_state *state,
				       const struct divert_resume *resume)
{
	return divert_pass(dn, skb, state, resume,
			   READ_ONCE(dn->conf.no_listener) ==
			   DIVERT_NO_LISTENER_ACCEPT);
}

/**
 * divert_leave() - the packet is to be left alone for the rest of its stage
 * @dn: namespace
 * @skb: packet that was, or would have been, diverted at this hook
 * @state: the hook
 */
void divert_leave(struct divert_net *dn, struct sk_buff *skb,
		  const struct nf_hook_state *state)
{
	struct divert_resume resume = {
		.shown	= true,
		.cookie	= DIVERT_COOKIE_LAST,
	};

	if (!divert_stage_ends(skb, state)) {
		divert_resume_advance(dn, skb, state, &resume);
		divert_mark_show(&dn->conf, skb, resume.cookie);
		return;
	}
	divert_mark_clear(&dn->conf, skb);
	if (divert_resumes(dn, skb))
		divert_resume_end(dn, skb, state);
}

/**
 * divert_rewind() - the rules are to see a packet again
 * @dn: namespace
 * @skb: packet that was diverted at this hook
 * @state: the hook
 * @cookie: rules up to this one are behind the packet
 */
void divert_rewind(struct divert_net *dn, struct sk_buff *skb,
		   const struct nf_hook_state *state, u16 cookie)
{
	struct divert_resume resume = {
		.shown	= true,
		.cookie	= cookie,
	};

	divert_resume_advance(dn, skb, state, &resume);
	divert_mark_show(&dn->conf, skb, cookie);
}

/* Copies for the watchers. */
static void divert_watch(struct divert_net *dn, const struct divert_port *port,
			 struct sk_buff *skb, const struct nf_hook_state *state,
			 const struct divert_target *to)
{
	unsigned int i = 0;
	struct sock *sk;

	while ((sk = divert_port_watcher(port, &i, state)))
		if (divert_wanted(sk, skb))
			divert_deliver_copy(dn, sk, skb, state, to);
}

/* A copy was taken: the packet goes on at the next rule of its stage. Rules
 * set a mark once, so they must look again for that.
 */
static unsigned int divert_go_on(struct divert_net *dn, struct sk_buff *skb,
				 const struct nf_hook_state *state, u16 cookie)
{
	divert_rewind(dn, skb, state, cookie);
	return divert_look_again(dn, skb, state);
}

/* A rule that asks for a copy only, or a port that has watchers only, must not
 * stop the packet.
 */
static bool divert_needs_owner(const struct divert_port *port,
			       const struct divert_target *to)
{
	return !to->tee && (!port || port->owners);
}

/* One look at the mark. @behind: the rules up to this one are behind the packet;
 * moved on if the rules have looked at it again, and it needs another look.
 */
static unsigned int divert_look(struct divert_net *dn, struct sk_buff *skb,
				const struct nf_hook_state *state, u16 *behind)
{
	const struct divert_port *port;
	struct divert_resume resume = { };
	struct divert_target to;
	struct sock *sk;
	bool watched;

	if (divert_resumes(dn, skb))
		divert_resume_read(dn, skb, state, &resume);
	resume.cookie = max(resume.cookie, *behind);
	if (!divert_mark_target(&dn->conf, skb->mark, &to))
		return divert_pass(dn, skb, state, &resume, false);

	if (to.cookie <= resume.cookie) {
		divert_count(dn, NULL, DIVERT_STAT_RESUMED);
		return divert_pass(dn, skb, state, &resume, true);
	}

	port = divert_port_lookup(dn, to.port);
	watched = port && port->watchers;
	if (watched)
		divert_watch(dn, port, skb, state, &to);

	sk = port ? divert_port_owner(port, skb, state) : NULL;
	if (!sk && divert_needs_owner(port, &to)) {
		if (divert_absent_drops(dn)) {
			divert_drop(dn, NULL, skb, DIVERT_STAT_NOPORT);
			return NF_STOLEN;
		}
		divert_count(dn, NULL, DIVERT_STAT_PASSED);
		if (!watched)
			return divert_absent_pass(dn, skb, state, &resume);
	}

	if (sk && !divert_wanted(sk, skb)) {
		divert_count(dn, sk, DIVERT_STAT_PASSED);
		if (!watched)
			return divert_pass(dn, skb, state, &resume, true);
		sk = NULL;
	}

	if (sk && !to.tee) {
		if (divert_deliver(dn, sk, skb, state, &to))
			return NF_STOLEN;
		divert_count(dn, sk, DIVERT_STAT_PASSED);
		divert_leave(dn, skb, state);
		return NF_ACCEPT;
	}

	if (sk)
		divert_deliver_copy(dn, sk, skb, state, &to);
	*behind = to.cookie;
	return divert_go_on(dn, skb, state, to.cookie);
}

/* Each look takes the packet at least one rule further, so they end. */
static unsigned int divert_stage(struct divert_net *dn, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	unsigned int verdict;
	u16 behind = 0, last;

	do {
		last = behind;
		verdict = divert_look(dn, skb, state, &behind);
	} while (verdict == NF_ACCEPT && behind != last);
	return verdict;
}

/* Frames that a bridge shows to IP (br_netfilter) are not IP packets of this
 * host: reinjected, they would be routed instead of bridged.
 */
static bool divert_bridged(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	return nf_bridge_info_exists(skb);
#else
	return false;
#endif
}

static unsigned int divert_hook_in(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	/* A packet written as received has its tag in the place of a route,
	 * and needs us even where a rule has cleared its mark.
	 */
	if (likely(!(skb->mark | skb->_skb_refdst)))
		return NF_ACCEPT;
	if (divert_bridged(skb))
		return NF_ACCEPT;

	return divert_stage(priv, skb, state);
}

static unsigned int divert_hook_out(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *state)
{
	if (likely(!skb->mark))
		return NF_ACCEPT;
	if (divert_bridged(skb))
		return NF_ACCEPT;

	return divert_stage(priv, skb, state);
}

static const struct nf_hook_ops divert_hook_ops[DIVERT_HOOKS] = {
	{
		.hook		= divert_hook_in,
		.pf		= NFPROTO_IPV4,
		.hooknum	= NF_INET_PRE_ROUTING,
		.priority	= DIVERT_PRIORITY_IN,
	},
	{
		.hook		= divert_hook_out,
		.pf		= NFPROTO_IPV4,
		.hooknum	= NF_INET_LOCAL_OUT,
		.priority	= DIVERT_PRIORITY_IN,
	},
	{
		.hook		= divert_hook_out,
		.pf		= NFPROTO_IPV4,
		.hooknum	= NF_INET_POST_ROUTING,
		.priority	= DIVERT_PRIORITY_OUT,
	},
	{
		.hook		= divert_hook_in,
		.pf		= NFPROTO_IPV6,
		.hooknum	= NF_INET_PRE_ROUTING,
		.priority	= DIVERT_PRIORITY_IN,
	},
	{
		.hook		= divert_hook_out,
		.pf		= NFPROTO_IPV6,
		.hooknum	= NF_INET_LOCAL_OUT,
		.priority	= DIVERT_PRIORITY_IN,
	},
	{
		.hook		= divert_hook_out,
		.pf		= NFPROTO_IPV6,
		.hooknum	= NF_INET_POST_ROUTING,
		.priority	= DIVERT_PRIORITY_OUT,
	},
};

/**
 * divert_hooks_get() - have the hooks in a namespace
 * @dn: namespace
 *
 * They stay until the namespace or the module goes: taking them off would
 * drop packets that wait in NFQUEUE.
 *
 * Return: 0 or the error of registration.
 */
int divert_hooks_get(struct divert_net *dn)
{
	unsigned int i;
	int err = 0;

	lockdep_assert_held(&dn->lock);

	if (dn->hooked)
		return 0;

	for (i = 0; i < DIVERT_HOOKS; i++) {
		dn->ops[i] = divert_hook_ops[i];
		dn->ops[i].priv = dn;
	}
	err = nf_register_net_hooks(dn->net, dn->ops, DIVERT_HOOKS);
	if (!err)
		dn->hooked = true;
	return err;
}

static int divert_defrag_enable(struct net *net)
{
	int err = nf_defrag_ipv4_enable(net);

#if IS_ENABLED(CONFIG_IPV6)
	if (!err) {
		err = nf_defrag_ipv6_enable(net);
		if (err)
			nf_defrag_ipv4_disable(net);
	}
#endif
	return err;
}

static int divert_defrag_disable(struct net *net)
{
#if IS_ENABLED(CONFIG_IPV6)
	nf_defrag_ipv6_disable(net);
#endif
	nf_defrag_ipv4_disable(net);
	return 0;
}

/**
 * divert_defrag_update() - have defragmentation as the settings say
 * @dn: namespace
 *
 * Return: 0 or the error of enabling it.
 */
int divert_defrag_update(struct divert_net *dn)
{
	bool want = dn->bound && dn->conf.defrag;
	int err = 0;

	lockdep_assert_held(&dn->lock);

	if (want == dn->defragging)
		return 0;

	err = want ? divert_defrag_enable(dn->net) :
		     divert_defrag_disable(dn->net);
	if (!err)
		dn->defragging = want;
	return err;
}

void divert_hooks_exit(struct divert_net *dn)
{
	mutex_lock(&dn->lock);
	dn->bound = false;
	divert_defrag_update(dn);
	if (dn->hooked)
		nf_unregister_net_hooks(dn->net, dn->ops, DIVERT_HOOKS);
	dn->hooked = false;
	mutex_unlock(&dn->lock);
}
