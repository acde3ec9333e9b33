// SPDX-License-Identifier: GPL-2.0
/*
 * Unit tests of the rule compiler: what each rule becomes in nft's language and
 * in the kernel's, and what is said of those that are wrong. TAP output.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr.h"

static const struct conf defaults = {
	.loaded		= true,
	.port_mask	= 0xffff0000,
	.cookie_mask	= 0x0000ffff,
	.port_range	= { 1, 65535 },
};

/* As divertctl(8) has them for those who share the mark */
static const struct conf narrow = {
	.loaded		= true,
	.port_mask	= 0xff000000,
	.cookie_mask	= 0x007f0000,
	.tee_mask	= 0x00800000,
	.port_base	= 8000,
	.port_range	= { 1, 65535 },
};

/* The cookie above the port */
static const struct conf reversed = {
	.loaded		= true,
	.port_mask	= 0x0000ffff,
	.cookie_mask	= 0xffff0000,
	.port_range	= { 1, 65535 },
};

static int count, failed;

static void result(bool good, const char *what, const char *got,
		   const char *expected)
{
	printf("%sok %d %s\n", good ? "" : "not ", ++count, what);
	if (good)
		return;
	failed++;
	printf("# got:\n%s# expected:\n%s", got, expected);
}

static int compile(const char *text, const struct conf *conf, struct rule *rule,
		   struct compiled *compiled, struct error *err)
{
	char *word = (char *)text;

	*compiled = (struct compiled){ 0 };
	if (rule_parse(rule, 1, &word, err))
		return -1;
	if (!rule->number)
		rule->number = 100;
	return rule_compile(rule, conf, compiled, err);
}

/* "CHAIN RULE" lines; what all rules have in common is left out. */
static char *print_text(const struct compiled *compiled)
{
	char *text = NULL, *line, *end;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);
	char *one;
	size_t len;

	for (i = 0; i < compiled->n; i++) {
		FILE *buf = open_memstream(&one, &len);

		nft_print_rule(buf, &compiled->at[i]);
		fclose(buf);
		line = one;
		end = strstr(line, "counter ");
		fprintf(out, "%s: %.*s%s\n", chains[compiled->at[i].chain].name,
			(int)(end - line), line, end + strlen("counter "));
		free(one);
	}
	fclose(out);
	return text;
}

/* What the kernel gets, as libnftnl shows it */
static char *print_expr(const struct rule *rule, const struct compiled *compiled)
{
	char *text = NULL, buf[8192];
	struct sets sets = { 0 };
	struct nftnl_rule *nft;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < compiled->n; i++) {
		nft = expr_rule(rule, &compiled->at[i], &sets);
		nftnl_rule_snprintf(buf, sizeof(buf), nft, NFTNL_OUTPUT_DEFAULT,
				    0);
		fprintf(out, "%s\n", buf);
		nftnl_rule_free(nft);
	}
	for (size_t i = 0; i < sets.n; i++) {
		nftnl_set_snprintf(buf, sizeof(buf), sets.at[i],
				   NFTNL_OUTPUT_DEFAULT, 0);
		fprintf(out, "%s\n", buf);
	}
	fclose(out);
	sets_free(&sets);
	return text;
}

static void becomes_under(const struct conf *conf, const char *text,
			  const char *expected)
{
	struct error err = { "" };
	struct compiled compiled;
	struct rule rule;
	char *got;

	if (compile(text, conf, &rule, &compiled, &err))
		got = must_print("%s\n", err.text);
	else
		got = print_text(&compiled);
	result(!strcmp(got, expected), text, got, expected);
	free(got);
	compiled_free(&compiled);
	rule_free(&rule);
}

static void becomes(const char *text, const char *expected)
{
	becomes_under(&defaults, text, expected);
}

/* @parts: strings that follow each other in what the kernel gets */
static void becomes_code_under(const struct conf *conf, const char *text,
			       const char * const *parts)
{
	struct error err = { "" };
	struct compiled compiled;
	const char *at = "";
	struct rule rule;
	char *got;

	if (compile(text, conf, &rule, &compiled, &err))
		got = must_print("%s\n", err.text);
	else
		got = print_expr(&rule, &compiled);
	for (at = got; *parts; parts++) {
		at = strstr(at, *parts);
		if (!at)
			break;
		at += strlen(*parts);
	}
	result(!*parts, text, got, *parts ?: "");
	free(got);
	compiled_free(&compiled);
	rule_free(&rule);
}

#define becomes_code(text, ...) \
	becomes_code_under(&defaults, text, \
			   (const char * const []){ __VA_ARGS__, NULL })

/* The error begins with the word that is wrong and has @advice in it. */
static void is_refused_under(const struct conf *conf, const char *text,
			     const char *word, const char *advice)
{
	struct error err = { "" };
	struct compiled compiled;
	struct rule rule;
	bool refused;
	char *what;

	refused = compile(text, conf, &rule, &compiled, &err) < 0;
	what = must_print("refused: %s", text);
	result(refused && !strncmp(err.text, word, strlen(word)) &&
	       strstr(err.text, advice), what, err.text, word);
	if (refused && !strstr(err.text, advice))
		printf("\n# advice: %s\n", advice);
	free(what);
	compiled_free(&compiled);
	rule_free(&rule);
}

static void is_refused(const char *text, const char *word, const char *advice)
{
	is_refused_under(&defaults, text, word, advice);
}

#define END	"meta mark < 0xffff0064 meta mark set 0x21dc0064 accept\n"

static void test_directions(void)
{
	becomes("100 divert 8668 ip from any to any",
		"in: " END "out: " END "post: " END);
	becomes("divert 8668 ip from any to any in", "in: " END);
	becomes("divert 8668 ip from any to any out", "out: " END "post: " END);
	becomes("divert 8668 ip from any to any not out", "in: " END);
	becomes("divert 8668 ip from any to any not in",
		"out: " END "post: " END);
	becomes("divert 8668 ip from any to any via eth0",
		"in: iifname \"eth0\" " END "out: oifname \"eth0\" " END
		"post: oifname \"eth0\" " END);
	becomes("divert 8668 ip from any to any in via eth0",
		"in: iifname \"eth0\" " END);
	becomes("divert 8668 ip from any to any out via eth0",
		"out: oifname \"eth0\" " END "post: oifname \"eth0\" " END);
	becomes("divert 8668 ip from any to any recv eth0",
		"in: iifname \"eth0\" " END "post: iifname \"eth0\" " END);
	becomes("divert 8668 ip from any to any xmit eth0",
		"out: oifname \"eth0\" " END "post: oifname \"eth0\" " END);
	becomes("divert 8668 ip from any to any recv eth0 xmit eth1",
		"post: iifname \"eth0\" oifname \"eth1\" " END);
	becomes("divert 8668 ip from any to any not recv eth0 out",
		"out: " END "post: iifname != \"eth0\" " END);
	becomes("divert 8668 ip from any to any in not via lo",
		"in: iifname != \"lo\" " END);
	becomes("divert 8668 ip from any to any in recv eth*",
		"in: iifname \"eth*\" " END);
}

#define V4	"in: meta nfproto ipv4 "
#define V6	"in: meta nfproto ipv6 "

static void test_addresses(void)
{
	becomes("divert 8668 ip from 10.0.0.1 to any in",
		V4 "ip saddr 10.0.0.1 " END);
	becomes("divert 8668 ip from any to 10.1.2.3/8 in",
		V4 "ip daddr 10.0.0.0/8 " END);
	becomes("divert 8668 ip from 10.1.2.3:255.255.0.0 to any in",
		V4 "ip saddr 10.1.0.0/16 " END);
	becomes("divert 8668 ip from fd00::1 to fd00::/9 in",
		V6 "ip6 saddr fd00::1 ip6 daddr fd00::/9 " END);
	becomes("divert 8668 ip from 10.0.0.0/8,fd00::/8 to any in",
		V4 "ip saddr 10.0.0.0/8 " END V6 "ip6 saddr fd00::/8 " END);
	becomes("divert 8668 ip from { 10.0.0.2 or 10.0.0.9 } to any in",
		V4 "ip saddr { 10.0.0.2, 10.0.0.9 } " END);
	becomes("divert 8668 ip from 10.0.0.3, 10.0.0.2 ,10.0.0.0/31 to any in",
		V4 "ip saddr 10.0.0.0/30 " END);
	becomes("divert 8668 ip from 10.0.0.1,10.0.0.2 to any in",
		V4 "ip saddr 10.0.0.1-10.0.0.2 " END);
	becomes("divert 8668 ip from not 10.0.0.1 to any in",
		V4 "ip saddr != 10.0.0.1 " END V6 END);
	becomes("divert 8668 ip4 from not 10.0.0.1 to any in",
		V4 "ip saddr != 10.0.0.1 " END);
	becomes("divert 8668 ip from me to any in",
		"in: fib saddr type local " END);
	becomes("divert 8668 ip from any to not me in",
		"in: fib daddr type != local " END);
	becomes("divert 8668 ip from me6 to any in",
		V6 "fib saddr type local " END);
	becomes("divert 8668 ip from not me6 to any in",
		V4 END V6 "fib saddr type != local " END);
	becomes("divert 8668 ip from me,10.0.0.1 to any in",
		V4 "ip saddr 10.0.0.1 " END V4 "fib saddr type local " END
		V6 "fib saddr type local " END);
	becomes("divert 8668 ip from any to not me,10.0.0.1 in",
		V4 "ip daddr != 10.0.0.1 fib daddr type != local " END
		V6 "fib daddr type != local " END);
	becomes("divert 8668 ip6 from any to any in", V6 END);
	becomes("divert 8668 ip from 0.0.0.0/0 to any in",
		V4 "ip saddr 0.0.0.0/0 " END);
	becomes("divert 8668 ip from me,10.0.0.1 to me,10.0.0.2 in",
		V4 "ip saddr 10.0.0.1 ip daddr 10.0.0.2 " END
		V4 "ip saddr 10.0.0.1 fib daddr type local " END
		V4 "fib saddr type local ip daddr 10.0.0.2 " END
		V4 "fib saddr type local fib daddr type local " END
		V6 "fib saddr type local fib daddr type local " END);
}

static void test_ports(void)
{
	becomes("divert 8668 udp from any 53 to any in",
		"in: meta l4proto 17 th sport 53 " END);
	becomes("divert 8668 tcp from any to any 80,443,8000-8010 in",
		"in: meta l4proto 6 th dport { 80, 443, 8000-8010 } " END);
	becomes("divert 8668 tcp from any 1024-65535 to any not 22 in",
		"in: meta l4proto 6 th sport 1024-65535 th dport != 22 " END);
	becomes("divert 8668 { tcp or udp } from any to any domain in",
		"in: meta l4proto { 6, 17 } th dport 53 " END);
	becomes("divert 8668 tcp from any to any dst-port 80 src-port 1 in",
		"in: meta l4proto 6 th dport 80 th sport 1 " END);
	becomes("divert 8668 tcp from any to any not dst-port 80 in",
		"in: meta l4proto 6 th dport != 80 " END);
	becomes("divert 8668 tcp from any to any ftp-data in",
		"in: meta l4proto 6 th dport 20 " END);
	becomes("divert 8668 tcp from any to any 5-9,1-4,8-12 in",
		"in: meta l4proto 6 th dport 1-12 " END);
}

static void test_options(void)
{
	becomes("divert 8668 tcp from any to any setup in",
		"in: meta l4proto 6 tcp flags & 0x12 == 0x02 " END);
	becomes("divert 8668 tcp from any to any established in",
		"in: meta l4proto 6 tcp flags & 0x14 != 0x00 " END);
	becomes("divert 8668 tcp from any to any not established in",
		"in: meta l4proto 6 tcp flags & 0x14 == 0x00 " END);
	becomes("divert 8668 tcp from any to any tcpflags syn,!ack,!fin in",
		"in: meta l4proto 6 tcp flags & 0x13 == 0x02 " END);
	becomes("divert 8668 icmp from any to any icmptypes 0,8 in",
		V4 "meta l4proto 1 icmp type { 0, 8 } " END);
	becomes("divert 8668 icmp6 from any to any icmp6types 128-129 in",
		V6 "meta l4proto 58 icmpv6 type 128-129 " END);
	becomes("divert 8668 ip from any to any ipttl 1-3 in",
		V4 "ip ttl 1-3 " END V6 "ip6 hoplimit 1-3 " END);
	becomes("divert 8668 ip4 from any to any not ipttl 64 in",
		V4 "ip ttl != 64 " END);
	becomes("divert 8668 ip from any to any out uid 1000 gid 5",
		"out: meta skuid 1000 meta skgid 5 " END
		"post: meta skuid 1000 meta skgid 5 " END);
	becomes("divert 8668 ip from any to any diverted in",
		"in: meta mark & 0xffff0000 == 0xffff0000 " END);
	becomes("divert 8668 ip from any to any not diverted in",
		"in: meta mark & 0xffff0000 != 0xffff0000 " END);
	becomes("divert 8668 47 from any to any in // GRE, in and out",
		"in: meta l4proto 47 " END);
}

static void test_masks(void)
{
	becomes_under(&narrow, "5 divert 8100 ip from any to any in",
		      "in: meta mark & 0xff7f0000 < 0xff050000 meta mark set meta mark & 0x0000ffff | 0x64050000 accept\n");
	becomes_under(&narrow, "5 tee 8100 ip from any to any in",
		      "in: meta mark & 0xff7f0000 < 0xff050000 meta mark set meta mark & 0x0000ffff | 0x64850000 accept\n");
	becomes_under(&reversed, "100 divert 8668 ip from any to any in",
		      "in: meta mark & 0x0000ffff != 0x0000ffff meta mark set 0x006421dc accept\n"
		      "in: meta mark & 0x0000ffff == 0x0000ffff meta mark & 0xffff0000 < 0x00640000 meta mark set 0x006421dc accept\n");
}

static void test_code(void)
{
	becomes_code("100 divert 8668 ip from any to any in via eth0",
		     "inet divertctl in",
		     "[ meta load iifname => reg 1 ]",
		     "[ cmp eq reg 1 0x30687465 0x00000000 0x00000000 0x00000000 ]",
		     "[ meta load mark => reg 1 ]",
		     "[ byteorder reg 1 = hton(reg 1, 4, 4) ]",
		     "[ cmp lt reg 1 0x6400ffff ]",
		     "[ counter pkts 0 bytes 0 ]",
		     "[ immediate reg 1 0x21dc0064 ]",
		     "[ meta set mark with reg 1 ]",
		     "[ immediate reg 0 accept ]");
	becomes_code("divert 8668 ip from any to any in via eth*",
		     "[ meta load iifname => reg 1 ]",
		     "[ cmp eq reg 1 0x00687465 ]");
	becomes_code("divert 8668 ip from 10.0.0.0/8 to not fd00::1 in",
		     "[ meta load nfproto => reg 1 ]",
		     "[ cmp eq reg 1 0x00000002 ]",
		     "[ payload load 4b @ network header + 12 => reg 1 ]",
		     "[ bitwise reg 1 = ( reg 1 & 0x000000ff ) ^ 0x00000000 ]",
		     "[ cmp eq reg 1 0x0000000a ]");
	becomes_code("divert 8668 tcp from any to any 80,443 in",
		     "[ meta load l4proto => reg 1 ]",
		     "[ cmp eq reg 1 0x00000006 ]",
		     "[ payload load 2b @ transport header + 2 => reg 1 ]",
		     "[ lookup reg 1 set __set%d",
		     "__set%d divertctl 3",
		     "element 00005000  : 0",
		     "element 0000bb01  : 0");
	becomes_code("divert 8668 tcp from any to any not 80,8000-65535 in",
		     "[ lookup reg 1 set __set%d 0x1",
		     "__set%d divertctl 7",
		     "element 00000000  : 1",
		     "element 00005000  : 0",
		     "element 00005100  : 1",
		     "element 0000401f  : 0");
	becomes_code("divert 8668 tcp from any to any 8000-8010 in",
		     "[ range eq reg 1 0x0000401f 0x00004a1f ]");
	becomes_code("divert 8668 ip from me to any in",
		     "[ fib saddr type => reg 1 ]",
		     "[ cmp eq reg 1 0x00000002 ]");
	becomes_code("divert 8668 ip from any to any out uid 1000",
		     "[ meta load skuid => reg 1 ]",
		     "[ cmp eq reg 1 0x000003e8 ]");
	becomes_code("divert 8668 tcp from any to any setup in",
		     "[ payload load 1b @ transport header + 13 => reg 1 ]",
		     "[ bitwise reg 1 = ( reg 1 & 0x00000012 ) ^ 0x00000000 ]",
		     "[ cmp eq reg 1 0x00000002 ]");
	becomes_code_under(&narrow, "5 tee 8100 ip from any to any in",
			   (const char * const []){
		"[ bitwise reg 1 = ( reg 1 & 0xff7f0000 ) ^ 0x00000000 ]",
		"[ byteorder reg 1 = hton(reg 1, 4, 4) ]",
		"[ cmp lt reg 1 0x000005ff ]",
		"[ meta load mark => reg 1 ]",
		"[ bitwise reg 1 = ( reg 1 & 0x0000ffff ) ^ 0x64850000 ]",
		"[ meta set mark with reg 1 ]", NULL });
}

/* The text comes back from the kernel as it was given, but for blanks. */
static void test_round_trip(const char *text, const char *expected)
{
	struct error err = { "" };
	char got[RULE_TEXT_MAX + 1] = "";
	struct compiled compiled;
	struct sets sets = { 0 };
	struct nftnl_rule *nft;
	unsigned int number = 0;
	struct rule rule;
	char *what;

	if (compile(text, &defaults, &rule, &compiled, &err)) {
		result(false, text, err.text, "");
		goto out;
	}
	compiled.at[0].packets = 7;
	nft = expr_rule(&rule, &compiled.at[0], &sets);
	expr_read(nft, got, sizeof(got), &number);
	what = must_print("kept: %s", text);
	result(number == 100 && !strcmp(got, expected) &&
	       expr_mark(nft) == 0x21dc0064, what, got, expected);
	free(what);
	nftnl_rule_free(nft);
	sets_free(&sets);
out:
	compiled_free(&compiled);
	rule_free(&rule);
}

static void test_texts(void)
{
	char text[RULE_TEXT_MAX + 64];
	size_t len;

	test_round_trip("100 divert  8668 ip from any to any",
			"divert 8668 ip from any to any");
	test_round_trip("100 divert 8668 {tcp or udp} from {10.0.0.1 or ::1} to any",
			"divert 8668 { tcp or udp } from { 10.0.0.1 or ::1 } to any");
	test_round_trip("divert 8668 tcp from any to any 80 , 443 // web , and  so on",
			"divert 8668 tcp from any to any 80,443 // web , and  so on");

	len = sprintf(text, "divert 8668 tcp from any to any 1");
	while (len < RULE_TEXT_MAX - 1)
		len += sprintf(text + len, ",1");
	test_round_trip(text, text);
	sprintf(text + len, ",1,1");
	is_refused(text, "the rule has ", "make it two");
}

static void test_bad_numbers(void)
{
	is_refused("", "no rule given", "for example");
	is_refused("0 divert 8668 ip from any to any", "0: not a rule number",
		   "1 to 65534");
	is_refused("65535 divert 8668 ip from any to any", "65535: ",
		   "1 to 65534");
	is_refused("-1 divert 8668 ip from any to any", "-1: not an action",
		   "divert or tee");
	is_refused("1x divert 8668 ip from any to any", "1x: ", "rule number");
	is_refused("100 divert", "the end: not a divert port", "number");
	is_refused("100 divert natd ip from any to any", "natd: ", "8668");
	is_refused("100 divert 0 ip from any to any", "0: not a divert port",
		   "number");
	is_refused("100 divert 70000 ip from any to any", "70000: ", "number");
	is_refused("100 divert 65535 ip from any to any", "port 65535: ",
		   "1 to 65534");
	is_refused_under(&narrow, "100 divert 300 ip from any to any",
			 "port 300: ", "8001 to 8254");
	is_refused_under(&narrow, "200 divert 8100 ip from any to any",
			 "cookie 200: ", "1 to 127");
	is_refused("100 tee 8668 ip from any to any", "tee: ",
		   "net.divert.tee_mask");
}

static void test_bad_words(void)
{
	is_refused("100 deny ip from any to any", "deny: ", "nft");
	is_refused("100 skipto 200 ip from any to any", "skipto: ", "cookie");
	is_refused("100 set 5 divert 8668 ip from any to any", "set: ",
		   "action");
	is_refused("100 dviert 8668 ip from any to any", "dviert: ",
		   "divert or tee");
	is_refused("100 divert 8668 from any to any", "from: ", "ip is any");
	is_refused("100 divert 8668 tpc from any to any", "tpc: not a protocol",
		   "tcp");
	is_refused("100 divert 8668 256 from any to any", "256: ", "1 to 255");
	is_refused("100 divert 8668 not tcp from any to any", "not: ",
		   "protocol");
	is_refused("100 divert 8668 { tcp udp } from any to any", "udp: ",
		   "\"or\"");
	is_refused("100 divert 8668 ip any to any", "any: expected \"from\"",
		   "after the protocol");
	is_refused("100 divert 8668 ip from any", "the end: expected \"to\"",
		   "after the source");
	is_refused("100 divert 8668 ip from to any", "to: ", "any is one");
	is_refused("100 divert 8668 ip from any to", "the end: ", "any is one");
	is_refused("100 divert 8668 ip from any to any fram", "fram: not known",
		   "in, out");
	is_refused("100 divert 8668 tcp from any to any 80,fram",
		   "fram: not a port", "/etc/services");
	is_refused("100 divert 8668 tcp from any fram to any",
		   "fram: expected \"to\"", "source");
	is_refused("100 divert 8668 ip from any to any in fram", "fram: not known",
		   "nft");
	is_refused("100 divert 8668 ip from any to any keep-state",
		   "keep-state: ", "ct state");
	is_refused("100 divert 8668 ip from any to any { via a or via b }",
		   "{: ", "a rule");
	is_refused("100 divert 8668 ip from any to any frag", "frag: ",
		   "reassembled");
	is_refused("100 divert 8668 ip from any to any in not", "not: ",
		   "follow");
	is_refused("100 divert 8668 ip from any to any // \"x\"", "a rule has",
		   "quotes");
}

static void test_bad_addresses(void)
{
	is_refused("100 divert 8668 ip from 10.0.0 to any", "10.0.0: ",
		   "not an address");
	is_refused("100 divert 8668 ip from 10.0.0.256 to any", "10.0.0.256: ",
		   "not an address");
	is_refused("100 divert 8668 ip from www.example.org to any",
		   "www.example.org: ", "names are not looked up");
	is_refused("100 divert 8668 ip from 10.0.0.0/33 to any",
		   "10.0.0.0/33: ", "0 to 32");
	is_refused("100 divert 8668 ip from fd00::/129 to any", "fd00::/129: ",
		   "0 to 128");
	is_refused("100 divert 8668 ip from 10.0.0.0/ to any", "10.0.0.0/: ",
		   "0 to 32");
	is_refused("100 divert 8668 ip from 10.0.0.0:255.0.255.0 to any",
		   "10.0.0.0:255.0.255.0: ", "ones, then zeros");
	is_refused("100 divert 8668 ip from 10.0.0.0/24{1,2} to any",
		   "{: expected \"to\"", "source");
	is_refused("100 divert 8668 ip from table(1) to any", "table: ",
		   "a set");
	is_refused("100 divert 8668 ip from any,10.0.0.1 to any", "any: ",
		   "no other");
	is_refused("100 divert 8668 ip from not any to any", "not any: ",
		   "nothing");
	is_refused("100 divert 8668 ip from { 10.0.0.1 10.0.0.2 } to any",
		   "10.0.0.2: ", "\"or\"");
	is_refused("100 divert 8668 ip from 10.0.0.1, to any", "to: ",
		   "not an address");
	is_refused("100 divert 8668 ip from 10.0.0.1 to ::1", "rule 100: ",
		   "no IP version in common");
	is_refused("100 divert 8668 ip6 from 10.0.0.1 to any", "rule 100: ",
		   "no IP version in common");
	is_refused("100 divert 8668 icmp from ::1 to any", "rule 100: ",
		   "no IP version in common");
	is_refused("100 divert 8668 tcp from 80 to any", "80: ",
		   "ports come after");
	is_refused("100 divert 8668 ip from any 80 to any", "80: ",
		   "ports need the protocol");
	is_refused("100 divert 8668 tcp from any 80-70 to any", "80-70: ",
		   "ends before");
	is_refused("100 divert 8668 tcp from any 65536 to any", "65536: ",
		   "0 to 65535");
	is_refused("100 divert 8668 { tcp or icmp } from any 80 to any", "80: ",
		   "ports need the protocol");
}

static void test_bad_options(void)
{
	is_refused("100 divert 8668 ip from any to any in out", "out: ",
		   "contradicts");
	is_refused("100 divert 8668 ip from any to any in xmit eth0", "xmit: ",
		   "contradicts");
	is_refused("100 divert 8668 ip from any to any in uid 0", "uid: ",
		   "contradicts");
	is_refused("100 divert 8668 ip from any to any via", "via: ",
		   "missing");
	is_refused("100 divert 8668 ip from any to any via eth0 via eth1",
		   "via: ", "twice");
	is_refused("100 divert 8668 ip from any to any via 10.0.0.1", "via: ",
		   "not its address");
	is_refused("100 divert 8668 ip from any to any via interface12345678",
		   "interface12345678: ", "at most 15");
	is_refused("100 divert 8668 ip from any to any via e*h", "e*h: ",
		   "at the end");
	is_refused("100 divert 8668 ip from any to any via *", "*: ",
		   "any interface");
	is_refused("100 divert 8668 udp from any to any established",
		   "established: ", "tcp");
	is_refused("100 divert 8668 ip from any to any setup", "setup: ",
		   "tcp");
	is_refused("100 divert 8668 tcp from any to any tcpflags syn,foo",
		   "tcpflags: \"foo\"", "fin, syn");
	is_refused("100 divert 8668 tcp from any to any tcpflags",
		   "tcpflags: ", "fin, syn");
	is_refused("100 divert 8668 ip from any to any icmptypes 8",
		   "icmptypes: ", "icmp");
	is_refused("100 divert 8668 icmp from any to any icmptypes 256",
		   "icmptypes: ", "0 to 255");
	is_refused("100 divert 8668 icmp from any to any icmptypes",
		   "icmptypes: ", "0 to 255");
	is_refused("100 divert 8668 ip from any to any ipttl 9-3",
		   "ipttl: \"9-3\" is not", "0 to 255");
	is_refused("100 divert 8668 ip from any to any ipttl 1,5", "ipttl: ",
		   "one number");
	is_refused("100 divert 8668 ip from any to any uid nobody-there",
		   "uid: ", "no user");
	is_refused("100 divert 8668 ip from any to any diverted diverted",
		   "diverted: ", "twice");
	is_refused("100 divert 8668 tcp from any to any src-port",
		   "src-port: ", "missing");
}

int main(void)
{
	test_directions();
	test_addresses();
	test_ports();
	test_options();
	test_masks();
	test_code();
	test_texts();
	test_bad_numbers();
	test_bad_words();
	test_bad_addresses();
	test_bad_options();
	printf("1..%d\n", count);
	return failed ? 1 : 0;
}
