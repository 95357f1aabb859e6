/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_OBJECT_H
#define CERTAUTO_CORE_OBJECT_H

/* The head of every public noun: a count of references and the context it hangs from. Each object
 * holds a reference on its context, so handles may be freed in any order. The last release may come
 * from any thread; when another thread is inside the context at that moment, the object is queued
 * and that thread destroys it on its way out. */

#include <certauto/context.h>

struct certauto__object {
	certauto_context *cx;                /* shared (+1); NULL once the object is destroyed */
	int refs;                            /* atomic */
	void (*destroy)(void *object);       /* frees what the object holds, not the object
	                                        itself */
	struct certauto__object *next_dead;
};

/* Allocates a zeroed struct of `size` bytes whose first member is a struct certauto__object, with
 * one reference. NULL when memory is short. */
void *certauto__object_new(certauto_context *cx, size_t size, void (*destroy)(void *object));
void *certauto__object_ref(void *object);    /* NULL is fine; returns object */
void *certauto__object_unref(void *object);  /* NULL is fine; returns NULL */
/* Destroys what died while this thread was inside the context. The caller holds a reference on
 * cx. */
void certauto__objects_reap(certauto_context *cx);

#endif
