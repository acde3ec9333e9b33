// SPDX-License-Identifier: GPL-2.0
/*
 * From a rule to rules of nft.
 *
 * in is the hook prerouting. out is the hook output for packets made here, and
 * postrouting for forwarded ones; a packet made here passes both, and can be
 * taken in either, but by one rule only once. via is the receiving interface
 * of packets that come in, and the sending one of those that go out.
 *
 * Every rule begins with the guard that lets it see only what has not been
 * behind it already: a packet that comes from a divert socket shows all ones
 * for the port and, as its cookie, the rule that it resumes after.
 */

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

const struct chain chains[CHAIN_N] = {
	[CHAIN_IN]	= { "in", "prerouting", NF_INET_PRE_ROUTING },
	[CHAIN_OUT]	= { "out", "output", NF_INET_LOCAL_OUT },
	[CHAIN_POST]	= { "post", "postrouting", NF_INET_POST_ROUTING },
};

/* A rule in the making: what it has in common with its alternatives. */
struct maker {
	const struct rule *rule;
	const struct conf *conf;
	struct compiled *compiled;
	uint32_t mark;
};

static struct matches matches_clone(const struct matches *from)
{
	struct matches clone = { 0 };

	for (size_t i = 0; i < from->n; i++)
		matches_copy(&clone, &from->at[i]);
	return clone;
}

static struct match *match_mark(struct matches *matches, uint32_t mask,
				uint32_t value)
{
	struct match *match = matches_number(matches, KEY_MARK, value);

	match->mask = mask;
	return match;
}

static void finish(const struct maker *maker, enum chain_id chain,
		   struct matches *matches)
{
	struct compiled *compiled = maker->compiled;
	struct nft_rule *nft;

	compiled->at = must_resize(compiled->at,
				   (compiled->n + 1) * sizeof(*compiled->at));
	nft = &compiled->at[compiled->n++];
	*nft = (struct nft_rule){
		.chain		= chain,
		.matches	= *matches,
		.keep		= ~conf_ours(maker->conf),
		.mark		= maker->mark,
	};
}

/* Where the port's bits lie above the cookie's, one comparison tells both that
 * the packet does not come from a divert socket, and that it comes from one
 * with a lesser cookie.
 */
static void guard_at_once(const struct maker *maker, enum chain_id chain,
			  struct matches *matches)
{
	const struct conf *conf = maker->conf;
	uint32_t cookie = field_put(conf->cookie_mask, maker->rule->number);

	match_mark(matches, conf->port_mask | conf->cookie_mask,
		   conf->port_mask | cookie)->less = true;
	finish(maker, chain, matches);
}

static void guard_twice(const struct maker *maker, enum chain_id chain,
			struct matches *matches)
{
	const struct conf *conf = maker->conf;
	uint32_t cookie = field_put(conf->cookie_mask, maker->rule->number);
	struct matches fresh = matches_clone(matches);

	match_mark(&fresh, conf->port_mask, conf->port_mask)->invert = true;
	finish(maker, chain, &fresh);

	match_mark(matches, conf->port_mask, conf->port_mask);
	match_mark(matches, conf->cookie_mask, cookie)->less = true;
	finish(maker, chain, matches);
}

/* Takes over @matches. */
static void guard(const struct maker *maker, enum chain_id chain,
		  struct matches *matches)
{
	const struct conf *conf = maker->conf;
	int diverted = maker->rule->diverted;

	if (diverted)
		match_mark(matches, conf->port_mask, conf->port_mask)->invert =
			diverted < 0;
	if (conf->port_mask > conf->cookie_mask)
		guard_at_once(maker, chain, matches);
	else
		guard_twice(maker, chain, matches);
}

/* Addresses: what one "from" or "to" is for one family */

struct address_keys {
	enum key_id v4, v6, local;
};

static const struct address_keys source = { KEY_SADDR4, KEY_SADDR6,
					    KEY_SLOCAL };
static const struct address_keys destination = { KEY_DADDR4, KEY_DADDR6,
						 KEY_DLOCAL };

static const struct ranges *addresses_of(const struct endpoint *endpoint,
					 int family)
{
	return family == FAMILY_4 ? &endpoint->v4 : &endpoint->v6;
}

static void match_addresses(struct matches *matches,
			    const struct endpoint *endpoint,
			    const struct address_keys *by, int family)
{
	struct match *match;

	match = matches_add(matches, family == FAMILY_4 ? by->v4 : by->v6);
	match->values = ranges_copy(addresses_of(endpoint, family));
	match->invert = endpoint->invert;
}

static void match_local(struct matches *matches,
			const struct endpoint *endpoint,
			const struct address_keys *by)
{
	matches_number(matches, by->local, RTN_LOCAL)->invert =
		endpoint->invert;
}

/* The alternatives of @endpoint, one after the other by @n, for packets of
 * @family: false if there are no more.
 */
static bool endpoint_alternative(struct matches *matches,
				 const struct endpoint *endpoint,
				 const struct address_keys *by, int family,
				 int n)
{
	bool listed = addresses_of(endpoint, family)->n;
	bool local = endpoint->me & family;

	if (endpoint->any)
		return n == 0;
	if (endpoint->invert) {
		if (n == 0 && listed)
			match_addresses(matches, endpoint, by, family);
		if (n == 0 && local)
			match_local(matches, endpoint, by);
		return n == 0;
	}
	if (listed && n == 0)
		match_addresses(matches, endpoint, by, family);
	else if (local && n == (listed ? 1 : 0))
		match_local(matches, endpoint, by);
	else
		return false;
	return true;
}

/* Does it take an address's family to tell whether a packet matches? */
static bool endpoint_has_family(const struct endpoint *endpoint)
{
	return !endpoint->any &&
	       (endpoint->v4.n || endpoint->v6.n || endpoint->me == FAMILY_6);
}

static void match_ttl(struct matches *matches, const struct rule *rule,
		      int family)
{
	struct match *match;

	if (!rule->ttl.n)
		return;
	match = matches_add(matches,
			    family == FAMILY_4 ? KEY_TTL : KEY_HOPLIMIT);
	match->values = ranges_copy(&rule->ttl);
	match->invert = rule->ttl_invert;
}

static void match_rest(const struct maker *maker, enum chain_id chain,
		       struct matches *matches)
{
	for (size_t i = 0; i < maker->rule->matches.n; i++)
		matches_copy(matches, &maker->rule->matches.at[i]);
	guard(maker, chain, matches);
}

static void each_destination(const struct maker *maker, enum chain_id chain,
			     const struct matches *base, int family)
{
	struct matches matches = matches_clone(base);

	for (int n = 0; endpoint_alternative(&matches, &maker->rule->to,
					     &destination, family, n); n++) {
		match_ttl(&matches, maker->rule, family);
		match_rest(maker, chain, &matches);
		matches = matches_clone(base);
	}
	matches_free(&matches);
}

static void each_source(const struct maker *maker, enum chain_id chain,
			const struct matches *base, int family)
{
	struct matches matches = matches_clone(base);

	for (int n = 0; endpoint_alternative(&matches, &maker->rule->from,
					     &source, family, n); n++) {
		each_destination(maker, chain, &matches, family);
		matches_free(&matches);
		matches = matches_clone(base);
	}
	matches_free(&matches);
}

static bool needs_family(const struct rule *rule)
{
	return rule->families != (FAMILY_4 | FAMILY_6) || rule->ttl.n ||
	       endpoint_has_family(&rule->from) ||
	       endpoint_has_family(&rule->to);
}

static void each_family(const struct maker *maker, enum chain_id chain,
			const struct matches *base)
{
	const struct rule *rule = maker->rule;
	struct matches matches;

	if (!needs_family(rule)) {
		/* Without addresses, both are the same. */
		each_source(maker, chain, base, FAMILY_4);
		return;
	}
	for (int family = FAMILY_4; family <= FAMILY_6; family <<= 1) {
		if (!(rule->families & family))
			continue;
		matches = matches_clone(base);
		matches_number(&matches, KEY_NFPROTO,
			       family == FAMILY_4 ? NFPROTO_IPV4 :
						    NFPROTO_IPV6);
		each_source(maker, chain, &matches, family);
		matches_free(&matches);
	}
}

/* Devices */

static void match_device(struct matches *matches, enum key_id key,
			 const struct device *device)
{
	struct match *match;

	if (!device->name[0])
		return;
	match = matches_add(matches, key);
	strcpy(match->name, device->name);
	match->invert = device->invert;
}

/* Packets at the hook output were not received: they have come by no interface,
 * which is also none of a name.
 */
static bool chain_applies(const struct rule *rule, enum chain_id chain)
{
	switch (chain) {
	case CHAIN_IN:
		return (rule->directions & DIR_IN) && !rule->xmit.name[0];
	case CHAIN_OUT:
		return (rule->directions & DIR_OUT) &&
		       (!rule->recv.name[0] || rule->recv.invert);
	default:
		return rule->directions & DIR_OUT;
	}
}

static void match_devices(const struct rule *rule, enum chain_id chain,
			  struct matches *matches)
{
	if (chain == CHAIN_IN) {
		match_device(matches, KEY_IIFNAME, &rule->via);
		match_device(matches, KEY_IIFNAME, &rule->recv);
		return;
	}
	if (chain == CHAIN_POST)
		match_device(matches, KEY_IIFNAME, &rule->recv);
	match_device(matches, KEY_OIFNAME, &rule->via);
	match_device(matches, KEY_OIFNAME, &rule->xmit);
}

static int check_compiled(const struct rule *rule,
			  const struct compiled *compiled, struct error *err)
{
	if (compiled->n)
		return 0;
	return fail(err, "rule %u: no packet can match it: protocol, source and destination have no IP version in common",
		    rule->number);
}

int rule_compile(const struct rule *rule, const struct conf *conf,
		 struct compiled *compiled, struct error *err)
{
	struct maker maker = {
		.rule = rule,
		.conf = conf,
		.compiled = compiled,
	};
	struct matches matches;

	*compiled = (struct compiled){ 0 };
	if (conf_mark(conf, rule->port, rule->number, rule->tee, &maker.mark,
		      err))
		return -1;
	for (enum chain_id chain = 0; chain < CHAIN_N; chain++) {
		if (!chain_applies(rule, chain))
			continue;
		matches = (struct matches){ 0 };
		match_devices(rule, chain, &matches);
		each_family(&maker, chain, &matches);
		matches_free(&matches);
	}
	return check_compiled(rule, compiled, err);
}

void compiled_free(struct compiled *compiled)
{
	for (size_t i = 0; i < compiled->n; i++)
		matches_free(&compiled->at[i].matches);
	free(compiled->at);
	*compiled = (struct compiled){ 0 };
}
