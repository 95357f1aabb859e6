/* SPDX-License-Identifier: Apache-2.0 */
/* Reference counts of the public nouns. What an object holds, and when it goes, is its own
 * business; here is only who frees it: the thread that drops the last reference, unless another
 * thread is inside the context at that moment. */
#include "core/object.h"

#include "core/context.h"
#include "core/memory.h"

void *certauto__object_new(certauto_context *cx, size_t size, void (*destroy)(void *object))
{
	struct certauto__object *object = certauto__alloc(size);

	if (object == NULL)
		return NULL;
	object->cx = certauto__context_ref(cx);
	object->refs = 1;
	object->destroy = destroy;
	return object;
}

void *certauto__object_ref(void *object)
{
	if (object != NULL)
		__atomic_add_fetch(&((struct certauto__object *)object)->refs, 1, __ATOMIC_RELAXED);
	return object;
}

static void object_destroy(struct certauto__object *object)
{
	certauto_context *cx = object->cx;

	object->destroy(object);
	certauto__free(object);
	certauto__context_unref(cx);
}

void *certauto__object_unref(void *ptr)
{
	struct certauto__object *object = ptr;
	certauto_context *cx;

	if (object == NULL || __atomic_sub_fetch(&object->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	cx = object->cx;
	if (certauto__is_inside(cx)) {
		object_destroy(object);
		return NULL;
	}
	/* What the object holds, a peer or a session, belongs to whoever is inside: nothing is
	 * destroyed without being there. */
	certauto__context_ref(cx);
	object->next_dead = __atomic_load_n(&cx->dead_objects, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&cx->dead_objects, &object->next_dead, object, 1,
			__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	certauto__context_tidy(cx);
	certauto__context_unref(cx);
	return NULL;
}

void certauto__objects_reap(certauto_context *cx)
{
	struct certauto__object *object, *next;

	object = __atomic_exchange_n(&cx->dead_objects, NULL, __ATOMIC_ACQUIRE);
	for (; object != NULL; object = next) {
		next = object->next_dead;
		object_destroy(object);
	}
}
