// SPDX-License-Identifier: GPL-2.0
/* What other tables of nft do: marks, flowtables, guards. */

#include <netinet/in.h>
#include <stdio.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/flowtable.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "netlink.h"

/* What a rule does with the mark, found by reading its expressions in order */
struct reading {
	/* @loaded: the mark is in a register; @mask: these bits of it */
	bool loaded;
	uint32_t mask;
	/* @value: what the register was given or the mark compared to */
	uint32_t value;
	bool known;
	bool compared;
	bool set;
	bool dropped;
};

struct examination {
	const struct diagnosis *d;
	bool guard;
	/* @table: whose rule was told last, so that each is told once */
	char table[64];
};

static uint32_t data_u32(const struct nftnl_expr *expr, uint16_t attr)
{
	uint32_t len, value = 0;
	const void *data = nftnl_expr_get(expr, attr, &len);

	if (data && len >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	return value;
}

static void read_meta(struct reading *r, const struct nftnl_expr *expr)
{
	if (nftnl_expr_get_u32(expr, NFTNL_EXPR_META_KEY) != NFT_META_MARK) {
		r->loaded = false;
		return;
	}
	if (nftnl_expr_is_set(expr, NFTNL_EXPR_META_SREG)) {
		r->set = true;
		return;
	}
	r->loaded = true;
	r->mask = UINT32_MAX;
	r->known = false;
}

static void read_bitwise(struct reading *r, const struct nftnl_expr *expr)
{
	if (!r->loaded)
		return;
	r->mask = data_u32(expr, NFTNL_EXPR_BITWISE_MASK);
	r->value = data_u32(expr, NFTNL_EXPR_BITWISE_XOR);
	r->known = true;
}

static void read_immediate(struct reading *r, const struct nftnl_expr *expr)
{
	if (nftnl_expr_is_set(expr, NFTNL_EXPR_IMM_VERDICT)) {
		r->dropped = nftnl_expr_get_u32(expr, NFTNL_EXPR_IMM_VERDICT) ==
			     NF_DROP;
		return;
	}
	r->loaded = false;
	r->mask = 0;
	r->value = data_u32(expr, NFTNL_EXPR_IMM_DATA);
	r->known = true;
}

/* iptables-nft has its own targets. */
static void read_target(struct reading *r, const struct nftnl_expr *expr)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_TG_NAME);

	if (name && (!strcmp(name, "MARK") || !strcmp(name, "CONNMARK")))
		r->set = true;
}

static void read_cmp(struct reading *r, const struct nftnl_expr *expr)
{
	if (!r->loaded)
		return;
	r->compared = true;
	r->value = data_u32(expr, NFTNL_EXPR_CMP_DATA);
}

static int read_expr(struct nftnl_expr *expr, void *data)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
	struct reading *r = data;

	if (!strcmp(name, "meta"))
		read_meta(r, expr);
	else if (!strcmp(name, "bitwise"))
		read_bitwise(r, expr);
	else if (!strcmp(name, "immediate"))
		read_immediate(r, expr);
	else if (!strcmp(name, "target"))
		read_target(r, expr);
	else if (!strcmp(name, "cmp"))
		read_cmp(r, expr);
	return MNL_CB_OK;
}

/* "meta mark & PORTS == PORT drop" */
static bool is_guard(const struct examination *e, const struct reading *r)
{
	return r->compared && r->dropped &&
	       (r->mask & e->d->conf.port_mask) == e->d->conf.port_mask &&
	       mark_port(&e->d->conf, r->value);
}

/* Somebody else's: sets bits of ours, and not to name a port that a socket has
 * or for a packet to go on after a divert rule.
 */
static bool is_clash(const struct examination *e, const struct reading *r)
{
	uint32_t ours = conf_ours(&e->d->conf);
	uint32_t changed = r->known ? r->value | ~r->mask : UINT32_MAX;

	return r->set && (changed & ours) &&
	       !(r->known && listens(e->d, mark_port(&e->d->conf, r->value)));
}

static void tell_clash(struct examination *e, const struct nftnl_rule *nft,
		       const struct reading *r)
{
	const char *table = nftnl_rule_get_str(nft, NFTNL_RULE_TABLE);
	const char *chain = nftnl_rule_get_str(nft, NFTNL_RULE_CHAIN);
	char value[16] = "";

	if (!strcmp(e->table, table))
		return;
	snprintf(e->table, sizeof(e->table), "%s", table);
	if (r->known)
		snprintf(value, sizeof(value), " 0x%x", r->value);
	found(WARNING, "fwmark", "table %s, chain %s sets mark%s in bits of net.divert's masks (0x%08x), and no divert socket has that port: move the masks to bits nobody uses (divert(7), COEXISTING), or start its daemon",
	      table, chain, value, conf_ours(&e->d->conf));
}

static int read_rule(const struct nlmsghdr *nlh, void *data)
{
	struct nftnl_rule *nft = nftnl_rule_alloc();
	struct reading r = { 0 };
	struct examination *e = data;
	const char *table;

	if (!nft)
		die("out of memory");
	if (nftnl_rule_nlmsg_parse(nlh, nft) < 0)
		goto out;
	table = nftnl_rule_get_str(nft, NFTNL_RULE_TABLE);
	if (!strcmp(table, TABLE))
		goto out;
	nftnl_expr_foreach(nft, read_expr, &r);
	if (is_guard(e, &r))
		e->guard = true;
	else if (is_clash(e, &r))
		tell_clash(e, nft, &r);
out:
	nftnl_rule_free(nft);
	return MNL_CB_OK;
}

static int read_flowtable(const struct nlmsghdr *nlh, void *data)
{
	struct nftnl_flowtable *flowtable = nftnl_flowtable_alloc();

	(void)data;
	if (!flowtable)
		die("out of memory");
	if (nftnl_flowtable_nlmsg_parse(nlh, flowtable) >= 0)
		found(WARNING, "flowtable", "%s in table %s: flows offloaded to it bypass divert's hooks; keep flows that you divert out of it",
		      nftnl_flowtable_get_str(flowtable, NFTNL_FLOWTABLE_NAME),
		      nftnl_flowtable_get_str(flowtable,
					      NFTNL_FLOWTABLE_TABLE));
	nftnl_flowtable_free(flowtable);
	return MNL_CB_OK;
}

static void restart(void *data)
{
	struct examination *e = data;

	e->guard = false;
	e->table[0] = 0;
}

static int ask(struct mnl_socket *nl, int type, mnl_cb_t each,
	       struct examination *e)
{
	char buf[256];

	return netlink_ask(nl, nftnl_nlmsg_build_hdr(buf, type, NFPROTO_UNSPEC,
						     NLM_F_DUMP, 0),
			   each, restart, e);
}

void examine_ruleset(const struct diagnosis *d)
{
	struct examination e = { .d = d };
	struct mnl_socket *nl;
	struct error err;

	if (netlink_open(NETLINK_NETFILTER, &nl, &err)) {
		found(NOTE, "nft", "%s", err.text);
		return;
	}
	if (ask(nl, NFT_MSG_GETRULE, read_rule, &e)) {
		found(NOTE, "nft", "cannot read the ruleset: %s",
		      strerror(errno));
		goto out;
	}
	ask(nl, NFT_MSG_GETFLOWTABLE, read_flowtable, &e);
	if (e.guard)
		found(GOOD, "guard", "a rule drops marked packets that the module has not seen");
	else
		found(NOTE, "guard", "no rule drops marked packets while the module is absent, so they pass then: divert(7) has one to copy");
out:
	mnl_socket_close(nl);
}
