/* SPDX-License-Identifier: GPL-2.0 */
/* v6.13 moved page_frag_alloc() here. */
#ifndef _DIVERT_COMPAT_LINUX_PAGE_FRAG_CACHE_H
#define _DIVERT_COMPAT_LINUX_PAGE_FRAG_CACHE_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#include_next <linux/page_frag_cache.h>
#else
#include <linux/gfp.h>
#endif

/* v6.9 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
#include <linux/mm.h>

static inline void divert_page_frag_cache_drain(struct page_frag_cache *nc)
{
	if (!nc->va)
		return;
	__page_frag_cache_drain(virt_to_head_page(nc->va), nc->pagecnt_bias);
	nc->va = NULL;
}

#define page_frag_cache_drain	divert_page_frag_cache_drain
#endif

#endif
