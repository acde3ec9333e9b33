// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Filters from expressions, compiled by libpcap for packets that begin with
 * their IP header.
 */

#include <assert.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdivert/libdivert.h>

/* Both are the classic BPF machine; the library takes one for the other. */
static_assert(sizeof(struct sock_filter) == sizeof(struct bpf_insn) &&
	      offsetof(struct sock_filter, k) == offsetof(struct bpf_insn, k),
	      "struct sock_filter is not struct bpf_insn");

static int copy_program(struct sock_fprog *filter,
			const struct bpf_program *program)
{
	size_t size = program->bf_len * sizeof(*filter->filter);

	filter->filter = malloc(size);
	if (!filter->filter)
		return -1;
	memcpy(filter->filter, program->bf_insns, size);
	filter->len = program->bf_len;
	return 0;
}

static int compile(pcap_t *pcap, struct sock_fprog *filter,
		   const char *expression, char *error, size_t size)
{
	struct bpf_program program;
	int ret = -1;

	if (pcap_compile(pcap, &program, expression, 1,
			 PCAP_NETMASK_UNKNOWN)) {
		snprintf(error, size, "%s", pcap_geterr(pcap));
		errno = EINVAL;
		return -1;
	}

	if (program.bf_len <= BPF_MAXINSNS) {
		ret = copy_program(filter, &program);
	} else {
		snprintf(error, size, "longer than %d instructions",
			 BPF_MAXINSNS);
		errno = EINVAL;
	}
	pcap_freecode(&program);
	return ret;
}

int divert_filter_compile(struct sock_fprog *filter, const char *expression,
			  char *error, size_t size)
{
	pcap_t *pcap = pcap_open_dead(DLT_RAW, DIVERT_PACKET_MAX);
	char nobody[1];
	int ret;

	memset(filter, 0, sizeof(*filter));
	if (!pcap) {
		errno = ENOMEM;
		return -1;
	}
	if (!error) {
		error = nobody;
		size = sizeof(nobody);
	}

	ret = compile(pcap, filter, expression, error, size);
	pcap_close(pcap);
	return ret;
}

void divert_filter_free(struct sock_fprog *filter)
{
	free(filter->filter);
	memset(filter, 0, sizeof(*filter));
}

bool divert_filter_match(const struct sock_fprog *filter, const void *data,
			 size_t len)
{
	return bpf_filter((const struct bpf_insn *)filter->filter, data, len,
			  len);
}
