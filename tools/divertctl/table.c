// SPDX-License-Identifier: GPL-2.0
/*
 * The table in the kernel: inet divertctl.
 *
 * It is always written whole, in one transaction: packets see the old rules or
 * the new ones, and the rules stand in the order of their numbers. The text
 * that each was made from is kept with it, and is all there is to know of it.
 * A transaction that finds the ruleset changed since the table was read is
 * refused by the kernel, and begins anew.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/gen.h>
#include <libnftnl/batch.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "expr.h"
#include "netlink.h"

#define BATCH_PAGE	65536
#define SENDBUF_MAX	(16 << 20)

struct entry *table_find(const struct table *table, unsigned int number)
{
	for (size_t i = 0; i < table->n; i++)
		if (table->at[i].rule.number == number)
			return &table->at[i];
	return NULL;
}

void table_add(struct table *table, struct rule *rule)
{
	size_t i = table->n;

	table->at = must_resize(table->at,
				(table->n + 1) * sizeof(*table->at));
	while (i && table->at[i - 1].rule.number > rule->number)
		i--;
	memmove(&table->at[i + 1], &table->at[i],
		(table->n - i) * sizeof(*table->at));
	table->at[i] = (struct entry){ .rule = *rule };
	table->n++;
	*rule = (struct rule){ 0 };
}

static void entry_free(struct entry *entry)
{
	rule_free(&entry->rule);
	compiled_free(&entry->compiled);
}

void table_delete(struct table *table, struct entry *entry)
{
	entry_free(entry);
	table->n--;
	memmove(entry, entry + 1,
		(table->at + table->n - entry) * sizeof(*entry));
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->n; i++)
		entry_free(&table->at[i]);
	free(table->at);
	*table = (struct table){ 0 };
}

int table_compile(struct table *table, const struct conf *conf,
		  struct error *err)
{
	for (size_t i = 0; i < table->n; i++) {
		struct entry *entry = &table->at[i];

		compiled_free(&entry->compiled);
		if (rule_compile(&entry->rule, conf, &entry->compiled, err))
			return -1;
		entry->compiled.at[0].packets = entry->packets;
		entry->compiled.at[0].bytes = entry->bytes;
	}
	return 0;
}

/* Reading */

struct reader {
	struct table *table;
	struct error *err;
	bool failed;
};

static void foreign_rule(struct reader *reader, const char *why)
{
	reader->failed = true;
	fail(reader->err, "table inet " TABLE " has a rule that divertctl did not make%s%s: move it to a table of its own; divertctl flush deletes all",
	     *why ? ", or cannot read any more: " : "", why);
}

/* A user or service that the rule names may have gone, too. */
static struct entry *read_rule(struct reader *reader, const char *text,
			       unsigned int number)
{
	char *word = (char *)text;
	struct error why = { "" };
	struct rule rule = { 0 };

	if (number < 1 || number > RULE_MAX ||
	    rule_parse(&rule, 1, &word, &why) || rule.number) {
		foreign_rule(reader, why.text);
		rule_free(&rule);
		return NULL;
	}
	rule.number = number;
	table_add(reader->table, &rule);
	return table_find(reader->table, number);
}

static void read_text(struct reader *reader, const struct nftnl_rule *nft,
		      const char *text, unsigned int number)
{
	uint64_t packets, bytes;
	struct entry *entry;

	/* One rule has several of nft. */
	entry = table_find(reader->table, number) ?:
		read_rule(reader, text, number);
	if (!entry)
		return;
	if (strcmp(entry->rule.text, text)) {
		foreign_rule(reader, "");
		return;
	}
	expr_counter(nft, &packets, &bytes);
	entry->packets += packets;
	entry->bytes += bytes;
	entry->mark = expr_mark(nft);
}

static bool is_ours(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attr) == NFTA_RULE_TABLE)
			return !strcmp(mnl_attr_get_str(attr), TABLE);
	return false;
}

static int read_one(const struct nlmsghdr *nlh, void *data)
{
	char text[RULE_TEXT_MAX + 1];
	struct reader *reader = data;
	struct nftnl_rule *nft;
	unsigned int number;

	if (!is_ours(nlh))
		return MNL_CB_OK;
	nft = nftnl_rule_alloc();
	if (!nft)
		die("out of memory");
	if (nftnl_rule_nlmsg_parse(nlh, nft) < 0 ||
	    expr_read(nft, text, sizeof(text), &number))
		foreign_rule(reader, "");
	else
		read_text(reader, nft, text, number);
	nftnl_rule_free(nft);
	return MNL_CB_OK;
}

static void read_again(void *data)
{
	struct reader *reader = data;
	uint32_t generation = reader->table->generation;

	table_free(reader->table);
	/* Older than what is read now: a write begins anew, too. */
	reader->table->generation = generation;
	reader->failed = false;
}

static int read_generation(const struct nlmsghdr *nlh, void *data)
{
	struct nftnl_gen *gen = nftnl_gen_alloc();

	if (!gen)
		die("out of memory");
	if (nftnl_gen_nlmsg_parse(nlh, gen) >= 0)
		*(uint32_t *)data = nftnl_gen_get_u32(gen, NFTNL_GEN_ID);
	nftnl_gen_free(gen);
	return MNL_CB_OK;
}

static struct nlmsghdr *header(char *buf, int type, int family, int flags,
			       uint32_t seq)
{
	return nftnl_nlmsg_build_hdr(buf, type, family, flags, seq);
}

/* Of all tables. Asked for one, the kernel looks at the first of that name only:
 * while a write replaces it that is the old one, which has no rules any more.
 */
static int ask_rules(struct mnl_socket *nl, struct reader *reader)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];

	return netlink_ask(nl, header(buf, NFT_MSG_GETRULE, NFPROTO_INET,
				      NLM_F_DUMP, 0),
			   read_one, read_again, reader);
}

static int ask_generation(struct mnl_socket *nl, uint32_t *generation)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];

	return netlink_ask(nl, header(buf, NFT_MSG_GETGEN, AF_UNSPEC,
				      NLM_F_ACK, 0),
			   read_generation, NULL, generation);
}

static int say_errno(struct error *err, const char *what)
{
	if (errno == EPERM)
		return fail(err, "%s: needs CAP_NET_ADMIN: run it as root",
			    what);
	if (errno == EOPNOTSUPP || errno == EINVAL)
		return fail(err, "%s: %s: the kernel lacks nf_tables, or something of it",
			    what, strerror(errno));
	return fail(err, "%s: %s", what, strerror(errno));
}

/* Rules that change while they are read may be there twice, or not. */
static int ask_until_same(struct mnl_socket *nl, struct reader *reader)
{
	uint32_t *before = &reader->table->generation, after;

	if (ask_generation(nl, before))
		return -1;
	for (int i = 0; i < TRIES; i++) {
		if (ask_rules(nl, reader) || ask_generation(nl, &after))
			return -1;
		if (after == *before)
			return 0;
		*before = after;
		read_again(reader);
	}
	errno = EINTR;
	return -1;
}

int table_read(struct table *table, struct error *err)
{
	struct reader reader = { .table = table, .err = err };
	struct mnl_socket *nl;
	int ret;

	*table = (struct table){ 0 };
	if (netlink_open(NETLINK_NETFILTER, &nl, err))
		return -1;
	ret = ask_until_same(nl, &reader);
	if (ret)
		say_errno(err, "reading the rules");
	else if (reader.failed)
		ret = -1;
	mnl_socket_close(nl);
	if (ret)
		table_free(table);
	return ret;
}

/* Writing */

struct writer {
	struct nftnl_batch *batch;
	uint32_t seq;
	/* @last: the message begun last */
	struct nlmsghdr *last;
	/* @first: of each entry, the number of its first message */
	uint32_t *first;
};

static struct nlmsghdr *put(struct writer *writer, int type, int flags)
{
	writer->last = header(nftnl_batch_buffer(writer->batch), type,
			      NFPROTO_INET, flags, writer->seq++);
	return writer->last;
}

static void done(struct writer *writer)
{
	if (nftnl_batch_update(writer->batch) < 0)
		die("out of memory");
}

static void put_table(struct writer *writer, int type, int flags)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table)
		die("out of memory");
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, TABLE);
	nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_nlmsg_build_payload(put(writer, type, flags), table);
	nftnl_table_free(table);
	done(writer);
}

static void put_chain(struct writer *writer, const struct chain *from)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();

	if (!chain)
		die("out of memory");
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, TABLE);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, from->name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, from->hooknum);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, CHAIN_PRIORITY);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(put(writer, NFT_MSG_NEWCHAIN,
					    NLM_F_CREATE), chain);
	nftnl_chain_free(chain);
	done(writer);
}

/* Elements that do not fit into one message go on in the next. */
static void put_elements(struct writer *writer, struct nftnl_set *set)
{
	struct nftnl_set_elems_iter *iter = nftnl_set_elems_iter_create(set);
	struct nlmsghdr *nlh;
	int more;

	if (!iter)
		die("out of memory");
	do {
		nlh = put(writer, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
		more = nftnl_set_elems_nlmsg_build_payload_iter(nlh, iter);
		done(writer);
	} while (more > 0);
	nftnl_set_elems_iter_destroy(iter);
}

static void put_set(struct writer *writer, struct nftnl_set *set)
{
	nftnl_set_nlmsg_build_payload(put(writer, NFT_MSG_NEWSET, NLM_F_CREATE),
				      set);
	done(writer);
	put_elements(writer, set);
}

static void put_rules(struct writer *writer, const struct table *table)
{
	struct sets sets = { 0 };
	struct nftnl_rule *nft;
	size_t known = 0;

	for (size_t i = 0; i < table->n; i++) {
		const struct entry *entry = &table->at[i];

		writer->first[i] = writer->seq;
		for (size_t j = 0; j < entry->compiled.n; j++) {
			nft = expr_rule(&entry->rule, &entry->compiled.at[j],
					&sets);
			while (known < sets.n)
				put_set(writer, sets.at[known++]);
			nftnl_rule_nlmsg_build_payload(put(writer,
							   NFT_MSG_NEWRULE,
							   NLM_F_CREATE |
							   NLM_F_APPEND), nft);
			nftnl_rule_free(nft);
			done(writer);
		}
	}
	sets_free(&sets);
}

static void put_all(struct writer *writer, const struct table *table)
{
	struct nlmsghdr *nlh;

	nlh = nftnl_batch_begin(nftnl_batch_buffer(writer->batch),
				writer->seq++);
	if (table->generation)
		mnl_attr_put_u32(nlh, NFNL_BATCH_GENID,
				 htonl(table->generation));
	done(writer);

	/* Deleting needs that it is there. */
	put_table(writer, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_table(writer, NFT_MSG_DELTABLE, 0);
	if (table->n) {
		put_table(writer, NFT_MSG_NEWTABLE, NLM_F_CREATE);
		for (enum chain_id i = 0; i < CHAIN_N; i++)
			put_chain(writer, &chains[i]);
		put_rules(writer, table);
	}

	/* Answers come in order: behind this one there is none. */
	writer->last->nlmsg_flags |= NLM_F_ACK;
	nftnl_batch_end(nftnl_batch_buffer(writer->batch), writer->seq++);
	done(writer);
}

static int send_batch(struct mnl_socket *nl, struct nftnl_batch *batch)
{
	uint32_t n = nftnl_batch_iovec_len(batch);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec *iov = must_alloc(n * sizeof(*iov));
	struct msghdr msg = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = iov,
		.msg_iovlen = n,
	};
	int fd = mnl_socket_get_fd(nl), size = SENDBUF_MAX;
	ssize_t ret;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	nftnl_batch_iovec(batch, iov, n);
	ret = sendmsg(fd, &msg, 0);
	free(iov);
	return ret < 0 ? -1 : 0;
}

static int say_refused(const struct writer *writer, const struct table *table,
		       uint32_t seq, int error, struct error *err)
{
	const struct entry *entry = NULL;

	for (size_t i = 0; i < table->n; i++)
		if (writer->first[i] && writer->first[i] <= seq)
			entry = &table->at[i];
	errno = error;
	if (error == EPERM || !entry)
		return say_errno(err, "writing the rules");
	return fail(err, "the kernel refuses rule %u (%s): %s; it may lack a module of nf_tables",
		    entry->rule.number, entry->rule.text, strerror(error));
}

/* The first answer is an error, or says that all is done. */
static int read_answer(struct mnl_socket *nl, const struct writer *writer,
		       const struct table *table, bool *again,
		       struct error *err)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	const struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(nlh);
	ssize_t len = mnl_socket_recvfrom(nl, buf, sizeof(buf));

	if (len < (ssize_t)NLMSG_LENGTH(sizeof(*answer)) ||
	    nlh->nlmsg_type != NLMSG_ERROR)
		return fail(err, "writing the rules: no answer from the kernel");
	*again = answer->error == -ERESTART;
	if (!answer->error)
		return 0;
	return say_refused(writer, table, nlh->nlmsg_seq, -answer->error, err);
}

int table_write(const struct table *table, bool *again, struct error *err)
{
	struct writer writer = {
		.batch = nftnl_batch_alloc(BATCH_PAGE, BATCH_PAGE),
		.seq = 1,
		.first = must_alloc((table->n + 1) * sizeof(*writer.first)),
	};
	struct mnl_socket *nl;
	int ret;

	*again = false;
	if (!writer.batch)
		die("out of memory");
	ret = netlink_open(NETLINK_NETFILTER, &nl, err);
	if (!ret) {
		put_all(&writer, table);
		if (send_batch(nl, writer.batch))
			ret = say_errno(err, "writing the rules");
		else
			ret = read_answer(nl, &writer, table, again, err);
		mnl_socket_close(nl);
	}
	nftnl_batch_free(writer.batch);
	free(writer.first);
	return ret;
}
