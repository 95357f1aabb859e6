/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a job: facts, undo stack, owed steps, and those of its children that matter to a
 * later run. Framed by a line with schema, length and digest, so that a torn or edited record is
 * noticed: it is reported, never taken for "nothing was going on". There is no program counter: a
 * restart runs the table from the top, and the facts make steps say NEXT. */
#include "jobs/engine.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "crypto/crypto.h"
#include "json/reader.h"
#include "json/writer.h"

#define JOURNAL_MAX (16 * 1024 * 1024)
#define JOURNAL_FRAME "certauto-journal 1 "

/* ---- writing ---- */

int certauto__child_matters(const certauto_job *child)
{
	if (child->journal.save != NULL)
		return 0; /* it has a record of its own */
	if (child->wait != CERTAUTO__WAIT_ENDED || child->abandoned)
		return 1;
	return certauto__job_has_leftovers(child) ||
		((child->table->flags & CERTAUTO__TABLE_KEEP) != 0 && child->facts.n > 0);
}

static void write_facts(certauto__json *w, const struct certauto__facts *facts)
{
	size_t i;

	certauto__json_key(w, "facts");
	certauto__json_object(w);
	for (i = 0; i < facts->n; i++)
		if (facts->items[i].name[0] != '.')
			certauto__json_put_text(w, facts->items[i].name, facts->items[i].value);
	certauto__json_object_end(w);
}

static void write_undo_record(certauto__json *w, const char *step, int index)
{
	certauto__json_array(w);
	certauto__json_text(w, step);
	certauto__json_number(w, index);
	certauto__json_array_end(w);
}

static void write_saved(certauto__json *w, const struct certauto__saved *saved);

static void write_saved_children(certauto__json *w, const struct certauto__saved *saved)
{
	const struct certauto__saved *child;

	for (child = saved != NULL ? saved->children : NULL; child != NULL; child = child->next)
		write_saved(w, child);
}

/* A part of the record of an earlier run that nobody has taken up yet. */
static void write_saved(certauto__json *w, const struct certauto__saved *saved)
{
	size_t i;

	certauto__json_object(w);
	certauto__json_put_text(w, "table", saved->table);
	certauto__json_put_text(w, "key", saved->key);
	write_facts(w, &saved->facts);
	certauto__json_key(w, "undo");
	certauto__json_array(w);
	for (i = 0; i < saved->n_undo; i++)
		write_undo_record(w, saved->undo[i].step, saved->undo[i].index);
	certauto__json_array_end(w);
	certauto__json_put_list(w, "owed", &saved->owed);
	certauto__json_key(w, "children");
	certauto__json_array(w);
	write_saved_children(w, saved);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
}

static void write_job(certauto__json *w, const certauto_job *job)
{
	const certauto_job *child;
	size_t i;

	if (job->unread) {
		write_saved(w, job->saved); /* as it was: nothing of it has been taken over */
		return;
	}
	certauto__json_object(w);
	certauto__json_put_text(w, "table", job->table->name);
	certauto__json_put_text(w, "key", certauto__job_key(job));
	if (job->wait != CERTAUTO__WAIT_ENDED && job->step < job->table->n_steps) /* for people */
		certauto__json_put_text(w, "step", job->table->steps[job->step].name);
	write_facts(w, &job->facts);
	certauto__json_key(w, "undo");
	certauto__json_array(w);
	for (i = 0; i < job->n_undo; i++)
		write_undo_record(w, job->table->steps[job->undo[i].step].name, job->undo[i].index);
	certauto__json_array_end(w);
	certauto__json_put_list(w, "owed", &job->owed);
	certauto__json_key(w, "children");
	certauto__json_array(w);
	for (child = job->first_child; child != NULL; child = child->next_sibling)
		if (certauto__child_matters(child))
			write_job(w, child);
	write_saved_children(w, job->saved);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
}

int certauto__journal_format(certauto__buffer *out, certauto_job *record)
{
	certauto__buffer payload = CERTAUTO__BUFFER(JOURNAL_MAX);
	certauto__json w;
	char digest[65];

	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "id", record->journal_id);
	certauto__json_put_text(&w, "identity", record->identity);
	certauto__json_put_number(&w, "sequence", ++record->sequence);
	certauto__json_key(&w, "job");
	write_job(&w, record);
	certauto__json_object_end(&w);
	if (payload.rc == 0) {
		certauto__sha256_hex(digest, payload.data, payload.len);
		certauto__buffer_printf(out, JOURNAL_FRAME "%zu %s\n", payload.len, digest);
		certauto__buffer_add(out, payload.data, payload.len);
	}
	if (payload.rc < 0)
		out->rc = payload.rc;
	certauto__buffer_free(&payload);
	return out->rc;
}

int certauto__journal_lock(certauto_job *record, certauto_error *err)
{
	if (record->journal.lock == NULL)
		return 0;
	return record->journal.lock(record->journal.arg, record->journal_id, &record->record_lock,
		err);
}

void certauto__journal_unlock(certauto_job *record)
{
	if (record->record_lock != NULL)
		record->journal.unlock(record->journal.arg, record->record_lock);
	record->record_lock = NULL;
}

int certauto__journal_write(certauto_job *record, certauto_error *err)
{
	certauto__buffer data = CERTAUTO__BUFFER(JOURNAL_MAX + 256);
	int rc;

	if ((rc = certauto__journal_format(&data, record)) < 0)
		certauto__error_set(err, rc, record->journal_id,
			"the record is too large, or memory is short");
	else {
		record->recorded = 1; /* also when it fails: who knows how far it came */
		rc = record->journal.save(record->journal.arg, record->journal_id, data.data,
			data.len, err);
	}
	if (rc == 0)
		record->dirty = 0;
	certauto__buffer_free(&data);
	return rc;
}

int certauto__journal_remove(certauto_job *record, certauto_error *err)
{
	int rc;

	if (!record->recorded)
		return 0;
	rc = record->journal.remove(record->journal.arg, record->journal_id, err);
	if (rc != CERTAUTO_ENOTFOUND)
		return rc;
	certauto__error_clear(err);
	return 0;
}

/* ---- reading ---- */

void certauto__saved_free(struct certauto__saved *saved)
{
	struct certauto__saved *next;
	size_t i;

	for (; saved != NULL; saved = next) {
		next = saved->next;
		certauto__saved_free(saved->children); /* as deep as the reader's limit allows */
		certauto__facts_free(&saved->facts);
		for (i = 0; i < saved->n_undo; i++)
			certauto__free(saved->undo[i].step);
		certauto__free(saved->undo);
		certauto__list_free(&saved->owed);
		certauto__free(saved->table);
		certauto__free(saved->key);
		certauto__free(saved);
	}
}

struct certauto__saved *certauto__saved_take(struct certauto__saved *parent, const char *table,
	const char *key)
{
	struct certauto__saved **at, *saved;

	for (at = &parent->children; (saved = *at) != NULL; at = &saved->next) {
		if ((table != NULL && strcmp(saved->table, table) != 0) ||
		    (key != NULL && strcmp(saved->key, key) != 0))
			continue;
		*at = saved->next;
		saved->next = NULL;
		return saved;
	}
	return NULL;
}

static int add_undo(struct certauto__saved *saved, const char *step, int index)
{
	struct certauto__saved_undo *undo;

	undo = certauto__realloc(saved->undo, (saved->n_undo + 1) * sizeof(*undo));
	if (undo == NULL)
		return CERTAUTO_ENOMEM;
	saved->undo = undo;
	undo[saved->n_undo].index = index;
	if ((undo[saved->n_undo].step = certauto__strdup(step)) == NULL)
		return CERTAUTO_ENOMEM;
	saved->n_undo++;
	return 0;
}

/* ---- keeping ---- */

/* Facts go with what they were for, unless something is to be taken back by them. */
static int keep_own(struct certauto__saved *saved, const certauto_job *job)
{
	const struct certauto__fact *fact = job->facts.items;
	size_t i;
	int rc = 0;

	for (i = 0; i < job->n_undo && rc == 0; i++)
		rc = add_undo(saved, job->table->steps[job->undo[i].step].name, job->undo[i].index);
	if (rc == 0)
		rc = certauto__list_copy(&saved->owed, &job->owed);
	if (job->n_undo == 0 && job->owed.n == 0)
		return rc;
	for (i = 0; i < job->facts.n && rc == 0; i++, fact++)
		if (fact->name[0] != '.')
			rc = certauto__facts_set(&saved->facts, fact->name, fact->value);
	return rc;
}

static int keep_below(struct certauto__saved *saved, certauto_job *job)
{
	struct certauto__saved **at = &saved->children;
	certauto_job *child;
	int rc = 0;

	for (child = job->first_child; child != NULL && rc == 0; child = child->next_sibling)
		rc = certauto__saved_keep(&saved->children, child);
	if (rc < 0 || job->saved == NULL)
		return rc;
	while (*at != NULL)
		at = &(*at)->next;
	*at = job->saved->children; /* which nobody has taken up */
	job->saved->children = NULL;
	return 0;
}

static struct certauto__saved *saved_of(certauto_job *job)
{
	struct certauto__saved *saved;

	if (job->unread) { /* as it was: nothing of it has been taken over */
		saved = job->saved;
		job->saved = NULL;
		job->unread = 0;
		return saved;
	}
	if ((saved = certauto__alloc(sizeof(*saved))) == NULL)
		return NULL;
	saved->table = certauto__strdup(job->table->name);
	saved->key = certauto__strdup(certauto__job_key(job));
	if (saved->table != NULL && saved->key != NULL && keep_own(saved, job) == 0 &&
	    keep_below(saved, job) == 0)
		return saved;
	certauto__saved_free(saved);
	return NULL;
}

int certauto__saved_keep(struct certauto__saved **list, certauto_job *job)
{
	struct certauto__saved *saved;

	if (job->journal.save != NULL || !certauto__job_has_leftovers(job))
		return 0;
	if ((saved = saved_of(job)) == NULL)
		return CERTAUTO_ENOMEM;
	saved->next = *list;
	*list = saved;
	return 0;
}

#define SAVED_DEPTH 8

struct reading {
	struct certauto__saved *stack[SAVED_DEPTH + 1]; /* open jobs, outermost first */
	int depth;
	char *identity;
	int64_t sequence;
};

static int open_job(struct reading *r)
{
	struct certauto__saved *saved, **at;

	if (r->depth >= SAVED_DEPTH)
		return CERTAUTO_EPROTO;
	if ((saved = certauto__alloc(sizeof(*saved))) == NULL)
		return CERTAUTO_ENOMEM;
	if (r->depth > 0) {
		for (at = &r->stack[r->depth - 1]->children; *at != NULL; at = &(*at)->next)
			;
		*at = saved;
	} else if (r->stack[0] != NULL) {
		certauto__free(saved);
		return CERTAUTO_EPROTO;
	}
	r->stack[r->depth++] = saved;
	return 0;
}

static int undo_value(struct certauto__saved *saved, const certauto__json_value *v)
{
	int64_t index;
	int rc;

	if (v->type == CERTAUTO__JSON_STRING)
		return add_undo(saved, v->text, 0);
	if (v->type != CERTAUTO__JSON_NUMBER || saved->n_undo == 0)
		return 0;
	if ((rc = certauto__json_int(v, 0, INT32_MAX, &index)) < 0)
		return rc;
	saved->undo[saved->n_undo - 1].index = (int)index;
	return 0;
}

/* A member of the innermost open job; at is how many parts lead to it. */
static int job_value(struct certauto__saved *saved, const certauto__json_value *v, size_t at)
{
	const char *member = v->parts[at];

	if (strcmp(member, "table") == 0)
		return certauto__json_copy(v, &saved->table);
	if (strcmp(member, "key") == 0)
		return certauto__json_copy(v, &saved->key);
	if (strcmp(member, "facts") == 0 && v->n_parts == at + 2 &&
	    v->type == CERTAUTO__JSON_STRING)
		return certauto__facts_set(&saved->facts, v->parts[at + 1], v->text);
	if (strcmp(member, "undo") == 0)
		return undo_value(saved, v);
	if (strcmp(member, "owed") == 0 && v->type == CERTAUTO__JSON_STRING)
		return certauto__list_add(&saved->owed, v->text, v->len);
	return 0;
}

static int is_job(const certauto__json_value *v)
{
	size_t i;

	if (v->n_parts == 0 || strcmp(v->parts[0], "job") != 0 || v->n_parts % 2 == 0)
		return 0;
	for (i = 1; i + 1 < v->n_parts; i += 2)
		if (strcmp(v->parts[i], "children") != 0)
			return 0;
	return 1;
}

static int journal_value(void *arg, const certauto__json_value *v)
{
	struct reading *r = arg;

	if (v->type == CERTAUTO__JSON_OBJECT && is_job(v))
		return open_job(r);
	if (v->type == CERTAUTO__JSON_OBJECT_END && is_job(v)) {
		if (r->stack[r->depth - 1]->table == NULL || r->stack[r->depth - 1]->key == NULL)
			return CERTAUTO_EPROTO;
		r->depth--;
		return 0;
	}
	if (certauto__json_is(v, "identity"))
		return certauto__json_copy(v, &r->identity);
	if (certauto__json_is(v, "sequence"))
		return certauto__json_int(v, 0, INT64_MAX, &r->sequence);
	if (r->depth > 0 && v->n_parts >= (size_t)(2 * r->depth))
		return job_value(r->stack[r->depth - 1], v, (size_t)(2 * r->depth) - 1);
	return 0;
}

/* The frame: 0 and where the payload begins, or EIO when the record is not whole. */
static int check_frame(const char *data, size_t len, const char **payload, size_t *payload_len)
{
	const char *end = memchr(data, '\n', len < 256 ? len : 256);
	char digest[65], told[65];
	size_t told_len;

	if (end == NULL || !certauto__text_starts(data, JOURNAL_FRAME) ||
	    sscanf(data + sizeof(JOURNAL_FRAME) - 1, "%zu %64[0-9a-f]", &told_len, told) != 2)
		return CERTAUTO_EIO;
	*payload = end + 1;
	*payload_len = len - (size_t)(end + 1 - data);
	if (told_len != *payload_len)
		return CERTAUTO_EIO;
	certauto__sha256_hex(digest, *payload, *payload_len);
	return strcmp(digest, told) == 0 ? 0 : CERTAUTO_EIO;
}

/* data must be followed by a NUL. */
int certauto__journal_parse(const void *data, size_t len, struct certauto__saved **saved,
	char **identity, int64_t *sequence, certauto_error *err)
{
	struct reading r;
	const char *payload;
	size_t payload_len;
	int rc;

	if (check_frame(data, len, &payload, &payload_len) < 0)
		return certauto__error_set(err, CERTAUTO_EIO, NULL,
			"the record is damaged, or was made by another version: it is not touched");
	memset(&r, 0, sizeof(r));
	rc = certauto__json_read("journal", payload, payload_len, &certauto__json_limits_state,
		journal_value, &r, err);
	if (rc == 0 && r.stack[0] == NULL)
		rc = certauto__error_set(err, CERTAUTO_EIO, NULL, "the record holds no job");
	if (rc < 0) {
		certauto__saved_free(r.stack[0]);
		certauto__free(r.identity);
		return rc;
	}
	*saved = r.stack[0];
	*identity = r.identity;
	*sequence = r.sequence;
	return 0;
}

int certauto__journal_read(certauto_job *job, struct certauto__saved **saved, char **identity,
	certauto_error *err)
{
	certauto__buffer data = CERTAUTO__BUFFER(JOURNAL_MAX + 256);
	int rc;

	rc = job->journal.load(job->journal.arg, job->journal_id, &data, err);
	if (rc == 0)
		rc = certauto__journal_parse(certauto__buffer_text(&data), data.len, saved,
			identity, &job->sequence, err);
	if (rc < 0 && rc != CERTAUTO_ENOTFOUND) {
		certauto__error_prefix(err, "journal %s", job->journal_id);
		certauto__error_advise(err, "look at the record of an unfinished run; remove it by "
			"hand only if what it names was undone by hand");
	}
	certauto__buffer_free(&data);
	return rc;
}
