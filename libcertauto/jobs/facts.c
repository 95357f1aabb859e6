/* SPDX-License-Identifier: Apache-2.0 */
/* Facts: what a job has learned, by name. They are the journal, so each change of a durable one
 * makes the record dirty. */
#include "jobs/engine.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"

#define NTH_NAME 48 /* of one of several, with the NUL */

const char *certauto__facts_get(const struct certauto__facts *facts, const char *name)
{
	size_t i;

	for (i = 0; i < facts->n; i++)
		if (strcmp(facts->items[i].name, name) == 0)
			return facts->items[i].value;
	return NULL;
}

static int facts_grow(struct certauto__facts *facts)
{
	size_t size = facts->size != 0 ? facts->size * 2 : 8;
	struct certauto__fact *items;

	if (facts->n < facts->size)
		return 0;
	if (size > CERTAUTO__FACTS_MAX)
		return CERTAUTO_EPROTO;
	if ((items = certauto__realloc(facts->items, size * sizeof(*items))) == NULL)
		return CERTAUTO_ENOMEM;
	facts->items = items;
	facts->size = size;
	return 0;
}

static int facts_add(struct certauto__facts *facts, const char *name, const char *value)
{
	struct certauto__fact fact;
	int rc;

	if ((rc = facts_grow(facts)) < 0)
		return rc;
	fact.name = certauto__strdup(name);
	fact.value = certauto__strdup(value);
	if (fact.name == NULL || fact.value == NULL) {
		certauto__free(fact.name);
		certauto__free(fact.value);
		return CERTAUTO_ENOMEM;
	}
	facts->items[facts->n++] = fact;
	return 0;
}

int certauto__facts_set(struct certauto__facts *facts, const char *name, const char *value)
{
	char *copy;
	size_t i;

	if (value != NULL && strlen(value) > CERTAUTO__FACT_MAX)
		return CERTAUTO_EPROTO;
	for (i = 0; i < facts->n && strcmp(facts->items[i].name, name) != 0; i++)
		;
	if (i == facts->n)
		return value != NULL ? facts_add(facts, name, value) : 0;
	if (value != NULL) {
		if ((copy = certauto__strdup(value)) == NULL)
			return CERTAUTO_ENOMEM;
		certauto__free(facts->items[i].value);
		facts->items[i].value = copy;
		return 0;
	}
	certauto__free(facts->items[i].name);
	certauto__free(facts->items[i].value);
	memmove(&facts->items[i], &facts->items[i + 1], (--facts->n - i) * sizeof(facts->items[0]));
	return 0;
}

void certauto__facts_free(struct certauto__facts *facts)
{
	size_t i;

	for (i = 0; i < facts->n; i++) {
		certauto__free(facts->items[i].name);
		certauto__free(facts->items[i].value);
	}
	certauto__free(facts->items);
	memset(facts, 0, sizeof(*facts));
}

/* ---- as steps use them ---- */

void certauto__fact_set(certauto_job *job, const char *name, const char *value)
{
	const char *former = certauto__facts_get(&job->facts, name);
	int rc;

	if (certauto__text_equal(former, value))
		return;
	rc = certauto__facts_set(&job->facts, name, value);
	if (rc < 0)
		job->sticky = rc;
	if (name[0] != '.')
		certauto__job_dirty(job);
}

void certauto__fact_printf(certauto_job *job, const char *name, const char *format, ...)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__FACT_MAX + 1);
	va_list args;

	va_start(args, format);
	certauto__buffer_vprintf(&text, format, args);
	va_end(args);
	if (text.rc < 0)
		job->sticky = text.rc;
	else
		certauto__fact_set(job, name, certauto__buffer_text(&text));
	certauto__buffer_free(&text);
}

void certauto__fact_set_number(certauto_job *job, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	certauto__fact_set(job, name, text);
}

const char *certauto__fact_own(const certauto_job *job, const char *name)
{
	return certauto__facts_get(&job->facts, name);
}

int certauto__fact_is(const certauto_job *job, const char *name, const char *value)
{
	return certauto__text_equal(certauto__fact_own(job, name), value);
}

static void nth_name(char out[NTH_NAME], const char *name, int i)
{
	(void)snprintf(out, NTH_NAME, "%s.%d", name, i);
}

const char *certauto__fact_nth(const certauto_job *job, const char *name, int i)
{
	char full[NTH_NAME];

	nth_name(full, name, i);
	return certauto__fact_own(job, full);
}

void certauto__fact_nth_set(certauto_job *job, const char *name, int i, const char *value)
{
	char full[NTH_NAME];

	nth_name(full, name, i);
	certauto__fact_set(job, full, value);
}

const char *certauto__fact(const certauto_job *job, const char *name)
{
	const certauto_job *at;
	const char *value;

	for (at = job; at != NULL; at = at->parent)
		if ((value = certauto__facts_get(&at->facts, name)) != NULL)
			return value;
	/* A plan has not learned what only the peer can tell: the step is then listed, not run. */
	if (job->planning)
		((certauto_job *)job)->placeholder = 1;
	return NULL;
}

int64_t certauto__fact_number(const certauto_job *job, const char *name, int64_t otherwise)
{
	const char *text = certauto__fact(job, name);
	int64_t number;

	if (text == NULL || certauto__number_parse(text, INT64_MIN, INT64_MAX, &number) < 0)
		return otherwise;
	return number;
}
