// SPDX-License-Identifier: GPL-2.0
/*
 * A rule of nft as the kernel reads it, by libnftnl.
 *
 * Values are loaded into register 1, changed and compared there. What is in
 * network byte order stays so. What the kernel loads in host byte order is
 * compared in host byte order, but turned where less and greater count: the
 * kernel compares bytes.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <libnftnl/expr.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "expr.h"

/* A rule's whole text, where the comment has no room for it. nft leaves types
 * that it does not know alone.
 */
#define UDATA_TEXT	16
#define UDATA_MAX	256

static struct nftnl_expr *add(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	if (!expr)
		die("out of memory");
	nftnl_rule_add_expr(rule, expr);
	return expr;
}

static void add_load(struct nftnl_rule *rule, const struct key *key)
{
	struct nftnl_expr *expr;

	switch (key->source) {
	case FROM_META:
		expr = add(rule, "meta");
		nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key->at);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
		break;
	case FROM_FIB:
		expr = add(rule, "fib");
		nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, key->at);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT,
				   NFT_FIB_RESULT_ADDRTYPE);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
		break;
	default:
		expr = add(rule, "payload");
		nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE,
				   key->source == FROM_NETWORK ?
				   NFT_PAYLOAD_NETWORK_HEADER :
				   NFT_PAYLOAD_TRANSPORT_HEADER);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, key->at);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, key->len);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	}
}

static void add_bitwise(struct nftnl_rule *rule, const void *mask,
			const void *xor, int len)
{
	struct nftnl_expr *expr = add(rule, "bitwise");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, xor, len);
}

static void add_cmp(struct nftnl_rule *rule, enum nft_cmp_ops op,
		    const void *data, int len)
{
	struct nftnl_expr *expr = add(rule, "cmp");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, data, len);
}

static void add_mask(struct nftnl_rule *rule, const struct key *key,
		     uint32_t mask)
{
	static const uint32_t zero;
	uint8_t byte = mask;

	if (key->len == 1)
		add_bitwise(rule, &byte, &zero, 1);
	else
		add_bitwise(rule, &mask, &zero, sizeof(mask));
}

/* To network byte order */
static void add_turn(struct nftnl_rule *rule)
{
	struct nftnl_expr *expr = add(rule, "byteorder");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_LEN, 4);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BYTEORDER_SIZE, 4);
}

static enum nft_cmp_ops equal(const struct match *match)
{
	return match->invert ? NFT_CMP_NEQ : NFT_CMP_EQ;
}

static void add_name(struct nftnl_rule *rule, const struct match *match)
{
	size_t len = strlen(match->name);

	/* All of the register, or what is before the star */
	len = match->name[len - 1] == '*' ? len - 1 : IFNAMSIZ;
	if (len)
		add_cmp(rule, equal(match), match->name, len);
}

static void add_range(struct nftnl_rule *rule, const struct match *match,
		      const struct range *range)
{
	struct nftnl_expr *expr = add(rule, "range");
	int len = keys[match->key].len;

	nftnl_expr_set_u32(expr, NFTNL_EXPR_RANGE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_RANGE_OP,
			   match->invert ? NFT_RANGE_NEQ : NFT_RANGE_EQ);
	nftnl_expr_set(expr, NFTNL_EXPR_RANGE_FROM_DATA, range->lo, len);
	nftnl_expr_set(expr, NFTNL_EXPR_RANGE_TO_DATA, range->hi, len);
}

static void prefix_mask(uint8_t *mask, int prefix, int len)
{
	memset(mask, 0, len);
	for (int i = 0; i < prefix; i++)
		mask[i / 8] |= 0x80 >> i % 8;
}

static void add_one(struct nftnl_rule *rule, const struct match *match,
		    const struct range *range)
{
	const struct key *key = &keys[match->key];
	int prefix = range_prefix(range, key->len);
	uint8_t mask[16], zero[16] = { 0 };
	uint32_t number = value_number(range->lo, key->len);

	if (match->less) {
		add_turn(rule);
		add_cmp(rule, NFT_CMP_LT, range->lo, key->len);
	} else if (key->host) {
		add_cmp(rule, equal(match), &number, key->len);
	} else if (prefix == key->len * 8) {
		add_cmp(rule, equal(match), range->lo, key->len);
	} else if (prefix >= 0 && key->source == FROM_NETWORK && key->type) {
		prefix_mask(mask, prefix, key->len);
		add_bitwise(rule, mask, zero, key->len);
		add_cmp(rule, equal(match), range->lo, key->len);
	} else {
		add_range(rule, match, range);
	}
}

/* Sets */

static void add_element(struct nftnl_set *set, const uint8_t *value, int len,
			bool end)
{
	struct nftnl_set_elem *element = nftnl_set_elem_alloc();

	if (!element)
		die("out of memory");
	nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, value, len);
	if (end)
		nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS,
				       NFT_SET_ELEM_INTERVAL_END);
	nftnl_set_elem_add(set, element);
}

/* The first value behind @value; false if there is none. */
static bool value_next(uint8_t *value, int len)
{
	for (int i = len - 1; i >= 0; i--)
		if (++value[i])
			return true;
	return false;
}

static void add_interval(struct nftnl_set *set, const struct range *range,
			 int len)
{
	uint8_t end[16];

	add_element(set, range->lo, len, false);
	memcpy(end, range->hi, sizeof(end));
	if (value_next(end, len))
		add_element(set, end, len, true);
}

static bool is_single(const struct ranges *ranges, int len)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (memcmp(ranges->at[i].lo, ranges->at[i].hi, len))
			return false;
	return true;
}

static void add_elements(struct nftnl_set *set, const struct ranges *ranges,
			 int len)
{
	static const uint8_t zero[16];

	if (is_single(ranges, len)) {
		for (size_t i = 0; i < ranges->n; i++)
			add_element(set, ranges->at[i].lo, len, false);
		return;
	}
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS,
			  NFT_SET_ANONYMOUS | NFT_SET_CONSTANT |
			  NFT_SET_INTERVAL);
	/* nft begins where values do. */
	if (memcmp(ranges->at[0].lo, zero, len))
		add_element(set, zero, len, true);
	for (size_t i = 0; i < ranges->n; i++)
		add_interval(set, &ranges->at[i], len);
}

static struct nftnl_set *make_set(const struct match *match, uint32_t id)
{
	const struct key *key = &keys[match->key];
	struct nftnl_set *set = nftnl_set_alloc();

	if (!set)
		die("out of memory");
	nftnl_set_set_str(set, NFTNL_SET_TABLE, TABLE);
	nftnl_set_set_str(set, NFTNL_SET_NAME, "__set%d");
	nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(set, NFTNL_SET_ID, id);
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS,
			  NFT_SET_ANONYMOUS | NFT_SET_CONSTANT);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, key->type);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, key->len);
	add_elements(set, &match->values, key->len);
	return set;
}

static void add_lookup(struct nftnl_rule *rule, const struct match *match,
		       struct sets *sets)
{
	struct nftnl_expr *expr = add(rule, "lookup");
	uint32_t id = sets->n + 1;

	sets->at = must_resize(sets->at, (sets->n + 1) * sizeof(*sets->at));
	sets->at[sets->n++] = make_set(match, id);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, "__set%d");
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SET_ID, id);
	if (match->invert)
		nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS,
				   NFT_LOOKUP_F_INV);
}

void sets_free(struct sets *sets)
{
	for (size_t i = 0; i < sets->n; i++)
		nftnl_set_free(sets->at[i]);
	free(sets->at);
	*sets = (struct sets){ 0 };
}

static void add_match(struct nftnl_rule *rule, const struct match *match,
		      struct sets *sets)
{
	const struct key *key = &keys[match->key];

	add_load(rule, key);
	if (match->mask && match->mask != UINT32_MAX)
		add_mask(rule, key, match->mask);
	if (match->name[0])
		add_name(rule, match);
	else if (match->values.n == 1)
		add_one(rule, match, &match->values.at[0]);
	else
		add_lookup(rule, match, sets);
}

/* What a rule does */

static void add_counter(struct nftnl_rule *rule, const struct nft_rule *nft)
{
	struct nftnl_expr *expr = add(rule, "counter");

	nftnl_expr_set_u64(expr, NFTNL_EXPR_CTR_PACKETS, nft->packets);
	nftnl_expr_set_u64(expr, NFTNL_EXPR_CTR_BYTES, nft->bytes);
}

static void add_mark(struct nftnl_rule *rule, const struct nft_rule *nft)
{
	struct nftnl_expr *expr;

	if (nft->keep) {
		add_load(rule, &keys[KEY_MARK]);
		/* The bits kept are those that the mark does not have. */
		add_bitwise(rule, &nft->keep, &nft->mark, sizeof(nft->mark));
	} else {
		expr = add(rule, "immediate");
		nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
		nftnl_expr_set(expr, NFTNL_EXPR_IMM_DATA, &nft->mark,
			       sizeof(nft->mark));
	}
	expr = add(rule, "meta");
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

static void add_accept(struct nftnl_rule *rule)
{
	struct nftnl_expr *expr = add(rule, "immediate");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, NF_ACCEPT);
}

static void set_udata(struct nftnl_rule *nft, const struct rule *rule)
{
	struct nftnl_udata_buf *buf = nftnl_udata_buf_alloc(UDATA_MAX);
	char comment[RULE_COMMENT_SIZE];
	bool whole = rule_comment(rule, comment, sizeof(comment));

	if (!buf)
		die("out of memory");
	nftnl_udata_put_strz(buf, NFTNL_UDATA_RULE_COMMENT, comment);
	if (!whole)
		nftnl_udata_put_strz(buf, UDATA_TEXT, rule->text);
	nftnl_rule_set_data(nft, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(buf),
			    nftnl_udata_buf_len(buf));
	nftnl_udata_buf_free(buf);
}

struct nftnl_rule *expr_rule(const struct rule *rule,
			     const struct nft_rule *nft, struct sets *sets)
{
	struct nftnl_rule *out = nftnl_rule_alloc();

	if (!out)
		die("out of memory");
	nftnl_rule_set_u32(out, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(out, NFTNL_RULE_TABLE, TABLE);
	nftnl_rule_set_str(out, NFTNL_RULE_CHAIN, chains[nft->chain].name);
	for (size_t i = 0; i < nft->matches.n; i++)
		add_match(out, &nft->matches.at[i], sets);
	add_counter(out, nft);
	add_mark(out, nft);
	add_accept(out);
	set_udata(out, rule);
	return out;
}

/* Reading back */

struct texts {
	const char *comment;
	const char *text;
};

static int find_text(const struct nftnl_udata *attr, void *data)
{
	struct texts *texts = data;
	const char *value = nftnl_udata_get(attr);
	uint8_t len = nftnl_udata_len(attr);

	if (!len || value[len - 1])
		return 0;
	if (nftnl_udata_type(attr) == NFTNL_UDATA_RULE_COMMENT)
		texts->comment = value;
	if (nftnl_udata_type(attr) == UDATA_TEXT)
		texts->text = value;
	return 0;
}

int expr_read(const struct nftnl_rule *nft, char *text, size_t size,
	      unsigned int *number)
{
	struct texts texts = { 0 };
	const void *data;
	uint32_t len;
	int at = 0;

	data = nftnl_rule_get_data(nft, NFTNL_RULE_USERDATA, &len);
	if (!data || nftnl_udata_parse(data, len, find_text, &texts) < 0)
		return -1;
	if (!texts.comment || sscanf(texts.comment, "%u %n", number, &at) != 1 ||
	    !at)
		return -1;
	len = snprintf(text, size, "%s", texts.text ?: texts.comment + at);
	return len < size ? 0 : -1;
}

static struct nftnl_expr *find(const struct nftnl_rule *nft, const char *name,
			       uint16_t attr)
{
	struct nftnl_expr_iter *iter;
	struct nftnl_expr *expr, *last = NULL;

	iter = nftnl_expr_iter_create((struct nftnl_rule *)nft);
	if (!iter)
		die("out of memory");
	while ((expr = nftnl_expr_iter_next(iter)))
		if (!strcmp(nftnl_expr_get_str(expr, NFTNL_EXPR_NAME), name) &&
		    nftnl_expr_is_set(expr, attr))
			last = expr;
	nftnl_expr_iter_destroy(iter);
	return last;
}

void expr_counter(const struct nftnl_rule *nft, uint64_t *packets,
		  uint64_t *bytes)
{
	struct nftnl_expr *expr = find(nft, "counter", NFTNL_EXPR_CTR_PACKETS);

	*packets = expr ? nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_PACKETS) : 0;
	*bytes = expr ? nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_BYTES) : 0;
}

uint32_t expr_mark(const struct nftnl_rule *nft)
{
	const uint32_t *mark = NULL;
	struct nftnl_expr *expr;
	uint32_t len = 0;

	/* Matches come before: the last one is what the mark is set by. */
	expr = find(nft, "immediate", NFTNL_EXPR_IMM_DATA);
	if (expr) {
		mark = nftnl_expr_get(expr, NFTNL_EXPR_IMM_DATA, &len);
	} else {
		expr = find(nft, "bitwise", NFTNL_EXPR_BITWISE_XOR);
		if (expr)
			mark = nftnl_expr_get(expr, NFTNL_EXPR_BITWISE_XOR,
					      &len);
	}
	return mark && len == sizeof(*mark) ? *mark : 0;
}
