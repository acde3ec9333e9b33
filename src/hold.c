// SPDX-License-Identifier: GPL-2.0
/* Letting a packet that is in our hands go on through the stack's hooks. */

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <net/netns/netfilter.h>

#include "divert.h"

static const struct nf_hook_entries *
divert_hook_entries(const struct nf_hook_state *state)
{
	const struct netns_nf *nf = &state->net->nf;

	if (state->pf == NFPROTO_IPV6)
		return rcu_dereference(nf->hooks_ipv6[state->hook]);
	return rcu_dereference(nf->hooks_ipv4[state->hook]);
}

/* The first hook where rules set marks: what lies before it (reassembly,
 * conntrack) the packet has behind it.
 */
static unsigned int divert_rules_index(const struct nf_hook_entries *entries)
{
	struct nf_hook_ops **ops = nf_hook_entries_get_hook_ops(entries);
	unsigned int i;

	for (i = 0; i < entries->num_hook_entries; i++)
		if (ops[i]->priority >= NF_IP_PRI_MANGLE)
			break;
	return i;
}

/**
 * divert_look_again() - let the rules of this hook see a packet once more
 * @skb: packet
 * @state: the hook, ours, that it is in
 *
 * Then the packet goes on as if it had passed the hook. Called under RCU.
 *
 * Return: NF_STOLEN.
 */
unsigned int divert_look_again(struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	const struct nf_hook_entries *entries = divert_hook_entries(state);
	struct nf_hook_state again = *state;

	if (nf_hook_slow(skb, &again, entries,
			 divert_rules_index(entries)) == 1)
		again.okfn(again.net, again.sk, skb);
	return NF_STOLEN;
}
