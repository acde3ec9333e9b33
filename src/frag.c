// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of written packets.
 *
 * Packets are built in fragments of pages, which are used again when all of
 * their packets have gone: no page is allocated, and zeroed, for those that
 * come after. A batch of packets is on its way at the same time, so each CPU
 * takes turns with several pages, of 32 KiB as a rule, and keeps them.
 */

#include <linux/page_frag_cache.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>

#include "divert.h"

/* What is on its way of a batch of long packets, and one that is being filled */
#define DIVERT_FRAG_PAGES	8

/* Of a CPU, with softirqs off */
struct divert_frags {
	struct page_frag_cache	page[DIVERT_FRAG_PAGES];
	unsigned int		turn;	/* which of them is being filled */
	unsigned int		left;	/* bytes until it is full */
};

static DEFINE_PER_CPU(struct divert_frags, divert_frags);

static void *divert_frag_alloc(unsigned int size)
{
	struct divert_frags *frags = this_cpu_ptr(&divert_frags);

	if (frags->left < size) {
		frags->turn = (frags->turn + 1) % DIVERT_FRAG_PAGES;
		frags->left = PAGE_FRAG_CACHE_MAX_SIZE;
	}
	frags->left -= size;
	return page_frag_alloc(&frags->page[frags->turn], size, GFP_ATOMIC);
}

/**
 * divert_frag_skb() - have a packet to fill
 * @len: bytes of headroom and data; with what the stack adds, at most a page
 *
 * Return: the packet, or NULL if there is no memory that can be had at once.
 */
struct sk_buff *divert_frag_skb(size_t len)
{
	size_t size = SKB_DATA_ALIGN(len) +
		      SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct sk_buff *skb = NULL;
	void *data;

	local_bh_disable();
	data = divert_frag_alloc(size);
	if (data) {
		skb = napi_build_skb(data, size);
		if (!skb)
			skb_free_frag(data);
	}
	local_bh_enable();
	return skb;
}

/* No packets are written any more. */
void divert_frag_exit(void)
{
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu)
		for (i = 0; i < DIVERT_FRAG_PAGES; i++)
			page_frag_cache_drain(&per_cpu(divert_frags, cpu).page[i]);
}
