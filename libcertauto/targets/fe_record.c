/* SPDX-License-Identifier: Apache-2.0 */
/* The TXT record set of one name, which several challenges may need at once: apex and wildcard, two
 * orders, somebody else's values. The service has one set for each name, no versions and no locks,
 * so all values that this process wants, or wants no more, are put into one change, by one silent
 * job at a time: it reads the set, writes what is to be in it, and looks until that is in effect.
 * If another process has changed it meanwhile, it begins anew. */

#include "targets/fe_dns.h"

#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "json/reader.h"
#include "targets/device.h"

#define TYPE "TXT"
#define DESCRIPTION "certauto"
#define STRING_MAX 255
#define TEXT_MAX 4096          /* of a value */
#define PAGES_MAX 40           /* of sets whose names have that name in them */
#define ROUNDS_MAX 3           /* changes that others have undone, or were quicker with */
#define POLL_MS 25             /* doubled up to */
#define POLL_MAX_MS 2000
#define BUSY_MAX_MS 5000
#define PATIENCE_MS 120000
#define HOLD_MS 3000           /* for the others that will go, too: a change may take as long */
#define HOLD_POLL_MS 50
#define UNDO_PATIENCE_MS (CERTAUTO__FE_UNDO_MS - 15000)

enum phase { LIST, WRITE, WATCH };

/* As the service has it. */
struct set {
	char id[CERTAUTO__FE_ID];      /* "": there is none */
	char status[32];
	char *description;             /* NULL: none */
	int64_t ttl;
	certauto__list values;
};

struct certauto__fe_record {
	struct certauto__fe_record *next;
	struct certauto__fe_dns *dns;  /* borrowed: it owns this */
	char zone[CERTAUTO__FE_ID];
	char name[CERTAUTO__FE_NAME];  /* with its last dot */
	certauto__list wanted;         /* values, each as often as there are jobs that want it */
	certauto__list unwanted;       /* those to be taken away; not if they are wanted, too */
	certauto__queue waiting;
	uintptr_t serial;              /* of the job that is at it, or was */
	int running;
	int known;                     /* what is in set is what that has left */
	certauto_error error;          /* or why it has failed */
	int64_t ttl;                   /* of a set that is made */
	/* Of the job that is at it: */
	struct set set;
	enum phase phase;
	int rounds, busy, polls, pages;
	int64_t taken_at;              /* age of its step when a write was; 0: none yet */
	char marker[CERTAUTO__FE_ID];
};

static void set_clear(struct set *set)
{
	certauto__list_free(&set->values);
	certauto__free(set->description);
	memset(set, 0, sizeof(*set));
}

static void record_free(struct certauto__fe_record *record)
{
	set_clear(&record->set);
	certauto__list_free(&record->wanted);
	certauto__list_free(&record->unwanted);
	certauto__error_clear(&record->error);
	certauto__free(record);
}

void certauto__fe_records_forget(struct certauto__fe_dns *dns)
{
	struct certauto__fe_record *record;

	for (record = dns->records; record != NULL; record = record->next)
		if (!record->running)
			record->known = 0;
}

void certauto__fe_records_free(struct certauto__fe_dns *dns)
{
	struct certauto__fe_record *record;

	while ((record = dns->records) != NULL) {
		dns->records = record->next;
		record_free(record);
	}
}

/* ---- lists of values ---- */

/* Takes one of that value out. 1: there was one. */
static int list_drop(certauto__list *list, const char *text)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (strcmp(list->items[i], text) != 0)
			continue;
		certauto__free(list->items[i]);
		list->items[i] = list->items[--list->n];
		return 1;
	}
	return 0;
}

static int is_to_go(const struct certauto__fe_record *record, const char *value)
{
	return certauto__list_has(&record->unwanted, value) &&
		!certauto__list_has(&record->wanted, value);
}

static int has_to_go(const struct certauto__fe_record *record)
{
	const certauto__list *values = &record->set.values;
	size_t i;

	for (i = 0; i < values->n && !is_to_go(record, values->items[i]); i++)
		;
	return i < values->n;
}

/* 1: the set has all that is wanted and nothing that is not, and is in effect. */
static int is_right(const struct certauto__fe_record *record)
{
	const struct set *set = &record->set;
	size_t i;

	if (set->id[0] != '\0' && strcmp(set->status, "ACTIVE") != 0)
		return 0;
	for (i = 0; i < record->wanted.n; i++)
		if (!certauto__list_has(&set->values, record->wanted.items[i]))
			return 0;
	return !has_to_go(record);
}

/* What is to be in the set: what others have there stays, in its order. */
static int values_make(certauto__list *out, const struct certauto__fe_record *record)
{
	const certauto__list *had = &record->set.values, *wanted = &record->wanted;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < had->n; i++)
		if (!is_to_go(record, had->items[i]))
			rc = certauto__list_add_text(out, had->items[i]);
	for (i = 0; rc == 0 && i < wanted->n; i++)
		if (!certauto__list_has(out, wanted->items[i]))
			rc = certauto__list_add_text(out, wanted->items[i]);
	return rc;
}

/* ---- what the service says ---- */

/* A set as it is read: of a list the one whose name and type are right. The name may come behind
 * the rest. */
struct reading {
	struct certauto__fe_record *record;
	const char *at;                /* "recordsets[].": in front of each path; "" */
	struct set set;
	int is_it, is_other;           /* the name is right; the type is not */
	int came;                      /* one that is right has */
};

static int is_field(const struct reading *reading, const certauto__json_value *value,
	const char *name)
{
	size_t len = strlen(reading->at);

	return strncmp(value->path, reading->at, len) == 0 && strcmp(value->path + len, name) == 0;
}

static void take(char *out, size_t size, const certauto__json_value *value)
{
	if (value->type == CERTAUTO__JSON_STRING && value->len < size)
		memcpy(out, value->text, value->len + 1);
}

static int reading_value(struct reading *reading, const certauto__json_value *value)
{
	struct set *set = &reading->set;

	if (is_field(reading, value, "records[]"))
		return certauto__list_add(&set->values, value->text, value->len);
	if (is_field(reading, value, "id"))
		take(set->id, sizeof(set->id), value);
	else if (is_field(reading, value, "status"))
		take(set->status, sizeof(set->status), value);
	else if (is_field(reading, value, "type"))
		reading->is_other = !certauto__text_equal(value->text, TYPE);
	else if (is_field(reading, value, "name"))
		reading->is_it = certauto__text_equal_nocase(value->text, reading->record->name);
	else if (is_field(reading, value, "description"))
		return certauto__json_copy(value, &set->description);
	return 0;
}

static int reading_end(struct reading *reading)
{
	struct set *set = &reading->record->set;

	if (reading->is_it && !reading->is_other && reading->set.id[0] != '\0') {
		set_clear(set);
		*set = reading->set;
		memset(&reading->set, 0, sizeof(reading->set));
		reading->came = 1;
	}
	set_clear(&reading->set);
	reading->is_it = reading->is_other = 0;
	return 0;
}

static int reading_cb(void *arg, const certauto__json_value *value)
{
	struct reading *reading = arg;
	size_t len = strlen(reading->at);

	len -= len > 0; /* the dot */
	if (value->type == CERTAUTO__JSON_OBJECT_END && strlen(value->path) == len &&
		strncmp(value->path, reading->at, len) == 0)
		return reading_end(reading);
	if (value->type == CERTAUTO__JSON_NUMBER && is_field(reading, value, "ttl"))
		(void)certauto__json_int(value, 0, INT32_MAX, &reading->set.ttl);
	return value->type == CERTAUTO__JSON_STRING ? reading_value(reading, value) : 0;
}

/* Into record->set; at: as in struct reading. 1: there was one. */
static int set_read(struct certauto__fe_record *record, const certauto__exchange *x,
	const char *at, certauto_error *err)
{
	struct reading reading = {.record = record, .at = at};
	const char *data;
	size_t len;
	int rc;

	data = certauto__exchange_answer(x, &len);
	rc = len == 0 ? 0 : certauto__json_read("record sets", data, len,
		&certauto__json_limits_device, reading_cb, &reading, err);
	set_clear(&reading.set);
	return rc < 0 ? rc : reading.came;
}

static int is_pending(const struct set *set)
{
	return set->id[0] != '\0' && certauto__text_starts(set->status, "PENDING");
}

/* ---- asking ---- */

static certauto__verdict set_call(certauto_job *job, certauto__exchange *x, const char *method,
	const char *zone, const char *id, const char *query)
{
	const char *const one[] = {"/zones/", zone, "/recordsets/", id, NULL},
		*const all[] = {"/zones/", zone, "/recordsets", NULL};

	return certauto__fe_call_at(
		job, x, CERTAUTO__FE_DNS, method, *id != '\0' ? one : all, query);
}

static certauto__verdict list_ask(certauto_job *job, certauto__exchange *x,
	const struct certauto__fe_record *record)
{
	certauto__buffer query = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	certauto__fe_arg(&query, "type", TYPE);
	certauto__fe_arg(&query, "name", record->name);
	if (record->marker[0] != '\0')
		certauto__fe_arg(&query, "marker", record->marker);
	verdict = set_call(job, x, "GET", record->zone, "", certauto__buffer_text(&query));
	certauto__buffer_free(&query);
	return verdict;
}

static void put_set(certauto__exchange *x, const struct certauto__fe_record *record,
	const certauto__list *values)
{
	const struct set *set = &record->set;
	int is_new = set->id[0] == '\0';
	certauto__json w;

	certauto__fe_body(&w, x);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "name", record->name);
	certauto__json_put_text(&w, "type", TYPE);
	certauto__json_put_number(&w, "ttl", is_new || set->ttl == 0 ? record->ttl : set->ttl);
	if (is_new || set->description != NULL)
		certauto__json_put_text(&w, "description", is_new ? DESCRIPTION
								  : set->description);
	certauto__json_put_list(&w, "records", values);
	certauto__json_object_end(&w);
}

static certauto__verdict write_ask(certauto_job *job, certauto__exchange *x,
	const struct certauto__fe_record *record)
{
	const char *id = record->set.id, *method = *id == '\0' ? "POST" : "PUT";
	certauto__list values = {0};
	certauto__verdict verdict;

	if (values_make(&values, record) < 0) {
		certauto__list_free(&values);
		certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	/* What was wanted may not be any more. */
	verdict = values.n == 0 && *id == '\0' ? CERTAUTO__NEXT :
		set_call(job, x, values.n > 0 ? method : "DELETE", record->zone, id, NULL);
	if (values.n > 0)
		put_set(x, record, &values);
	certauto__list_free(&values);
	return verdict;
}

static certauto__verdict keep_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__fe_record *record = certauto__job_env(job);

	if (record->phase == LIST)
		return list_ask(job, x, record);
	if (record->phase == WATCH)
		return set_call(job, x, "GET", record->zone, record->set.id, NULL);
	return write_ask(job, x, record);
}

/* ---- reading ---- */

static int64_t growing(int n, int64_t max)
{
	int64_t ms = (int64_t)POLL_MS << (n < 20 ? n : 20);

	return ms < max ? ms : max;
}

static int64_t patience_of(const certauto_job *job, const struct certauto__fe_record *record)
{
	int64_t told = certauto__option_number(certauto__fe_target(job), "dns_wait_ms");

	if (told <= 0)
		told = PATIENCE_MS;
	return record->wanted.n > 0 || told < UNDO_PATIENCE_MS ? told : UNDO_PATIENCE_MS;
}

static certauto__verdict not_good(certauto_job *job, const struct certauto__fe_record *record,
	const char *what)
{
	certauto__buffer status = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	certauto_error error = {0};

	certauto__text_escape(&status, record->set.status, strlen(record->set.status));
	certauto__error_set(&error, CERTAUTO_EREFUSED, record->name,
		"the record set %s TXT %s%s%s", record->name, what,
		status.len > 0 ? ": its status is " : "", certauto__buffer_text(&status));
	certauto__buffer_free(&status);
	certauto__device_sign(&error, certauto__fe_target(job));
	certauto__error_advise(&error,
		"look at it in the console: if it stays like that, remove it there and run this "
		"again");
	return certauto__fail_with(job, &error);
}

/* A write that was taken has all the time for itself; not on the way back, where there is none to
 * spare. */
static int is_patient(const certauto_job *job, const struct certauto__fe_record *record)
{
	int64_t since = record->wanted.n > 0 ? record->taken_at : 0;

	return certauto__step_age_ms(job) - since <= patience_of(job, record);
}

static certauto__verdict look_again(certauto_job *job, struct certauto__fe_record *record,
	enum phase phase)
{
	record->phase = phase;
	return certauto__again(job, growing(record->polls++, POLL_MAX_MS));
}

/* As long as there is patience. */
static certauto__verdict poll_again(certauto_job *job, struct certauto__fe_record *record,
	enum phase phase)
{
	return is_patient(job, record) ? look_again(job, record, phase)
				       : not_good(job, record, "does not become ACTIVE");
}

/* Its change was refused for now, or was not what came of it. */
static certauto__verdict begin_anew(certauto_job *job, struct certauto__fe_record *record,
	int64_t after_ms)
{
	record->phase = LIST;
	record->marker[0] = '\0';
	return certauto__again(job, after_ms);
}

static int next_page(void *arg, const char *const *values)
{
	(void)arg;
	(void)values;
	return 0;
}

static certauto__verdict list_read(certauto_job *job, certauto__exchange *x,
	struct certauto__fe_record *record)
{
	static const char *const fields[] = {"id", NULL};
	certauto_error *err = certauto__job_error_of(job);

	if (record->marker[0] == '\0')
		set_clear(&record->set);
	/* With a zone that is not there any more its records are gone. */
	if (x->rc == 0 && x->status == 404 && record->wanted.n == 0)
		return CERTAUTO__NEXT;
	if (x->rc < 0 || x->status >= 300)
		return certauto__fe_refused(job, x, record->name, "looking at the record set");
	if (set_read(record, x, "recordsets[].", err) < 0 ||
		certauto__fe_rows(x, "recordsets", fields, next_page, NULL, record->marker,
			err) < 0)
		return CERTAUTO__FAILED;
	if (record->set.id[0] == '\0' && record->marker[0] != '\0')
		return ++record->pages < PAGES_MAX ? certauto__again(job, 0) :
			certauto__fail(job, CERTAUTO_EPROTO, record->name,
				"the list of record sets has no end: whether %s is among them "
				"cannot be told", record->name);
	record->marker[0] = '\0';
	record->pages = 0;
	/* Nothing of ours is there: in which state the others' values are is not our affair. */
	if (record->wanted.n == 0 && !has_to_go(record))
		return CERTAUTO__NEXT;
	/* What will never be in effect may be removed all the same: it is worth a try. */
	if (is_pending(&record->set) && (record->wanted.n > 0 || is_patient(job, record)))
		return poll_again(job, record, LIST);
	if (is_right(record))
		return CERTAUTO__NEXT;
	record->phase = WRITE;
	return certauto__again(job, 0);
}

static certauto__verdict taken(certauto_job *job, const certauto__exchange *x,
	const struct certauto__fe_record *record)
{
	certauto_error error = {0};

	certauto__fe_tell(&error, x, certauto__fe_target(job), record->name,
		"adding the TXT record");
	certauto__error_advise(&error,
		"%s has a record of another type, a CNAME: remove it, or let it lead to where "
		"TXT records may be", record->name);
	return certauto__fail_with(job, &error);
}

static certauto__verdict write_read(certauto_job *job, certauto__exchange *x,
	struct certauto__fe_record *record)
{
	int is_gone = certauto__text_equal(x->method, "DELETE");

	if (x->rc == 0 && x->status < 300) {
		if (!is_gone && set_read(record, x, "", certauto__job_error_of(job)) < 0)
			return CERTAUTO__FAILED;
		if (record->set.id[0] == '\0') /* it does not say what it has made */
			return begin_anew(job, record, POLL_MS);
		record->polls = 0;
		record->taken_at = certauto__step_age_ms(job);
		return look_again(job, record, WATCH); /* late as it may be: what came of it */
	}
	if (certauto__fe_is_busy(x) && is_patient(job, record))
		return begin_anew(job, record, growing(record->busy++, BUSY_MAX_MS));
	if (certauto__fe_is_taken(x) &&
		(++record->rounds > ROUNDS_MAX || certauto__fe_says(x, "CNAME")))
		return taken(job, x, record);
	if (certauto__fe_is_taken(x) || (x->rc == 0 && x->status == 404 &&
		record->set.id[0] != '\0' && ++record->rounds <= ROUNDS_MAX))
		return begin_anew(job, record, growing(record->rounds, POLL_MAX_MS));
	return certauto__fe_refused(job, x, record->name,
		is_gone ? "removing the record set" : "writing the record set");
}

/* What is not told is not gone. */
static certauto__verdict untold(certauto_job *job, const struct certauto__fe_record *record)
{
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EPROTO, record->name,
		"waiting for the record set %s TXT: it is not in the answer", record->name);
	certauto__device_sign(&error, certauto__fe_target(job));
	certauto__error_advise(&error,
		"see what answers in place of the cloud's DNS, a proxy or a maintenance page, and "
		"run this again");
	return certauto__fail_with(job, &error);
}

/* What is gone has no values. */
static certauto__verdict watch_read(certauto_job *job, certauto__exchange *x,
	struct certauto__fe_record *record)
{
	int rc = 1;

	if (x->rc == 0 && x->status == 404)
		set_clear(&record->set);
	else if (x->rc < 0 || x->status >= 300)
		return certauto__fe_refused(job, x, record->name, "waiting for the record set");
	else
		rc = set_read(record, x, "", certauto__job_error_of(job));
	if (rc <= 0)
		return rc < 0 ? CERTAUTO__FAILED : untold(job, record);
	if (is_pending(&record->set))
		return poll_again(job, record, WATCH);
	if (is_right(record))
		return CERTAUTO__NEXT;
	if (record->set.id[0] != '\0' && strcmp(record->set.status, "ACTIVE") != 0)
		return not_good(job, record, "could not be changed");
	if (++record->rounds > ROUNDS_MAX)
		return not_good(job, record, "is changed by somebody else again and again");
	return begin_anew(job, record, 0);
}

static certauto__verdict keep_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__fe_record *record = certauto__job_env(job);

	switch (record->phase) {
	case LIST:
		return list_read(job, x, record);
	case WRITE:
		return write_read(job, x, record);
	case WATCH:
		break;
	}
	return watch_read(job, x, record);
}

static const struct certauto__step record_steps[] = {
	{.name = "keep", .ask = keep_ask, .read = keep_read, .flags = CERTAUTO__ERRORS},
};

static const struct certauto__table record_table = {
	.name = "fe-record",
	.steps = record_steps,
	.n_steps = 1,
};

/* ---- for those who want it ---- */

static struct certauto__fe_record *record_find(const certauto_job *job, const char *zone,
	const char *name, certauto_error *err)
{
	struct certauto__fe_dns *dns = certauto__fe_dns(job);
	struct certauto__fe_record *record;
	size_t len = strlen(name);

	for (record = dns->records; record != NULL; record = record->next)
		if (strcmp(record->zone, zone) == 0 && strncmp(record->name, name, len) == 0 &&
			strcmp(record->name + len, ".") == 0)
			return record;
	if (len + 1 >= CERTAUTO__FE_NAME || strlen(zone) >= CERTAUTO__FE_ID) {
		certauto__error_set(err, CERTAUTO_EINVAL, name, "%s: the name is too long", name);
		return NULL;
	}
	if ((record = certauto__alloc(sizeof(*record))) == NULL) {
		certauto__error_nomem(err);
		return NULL;
	}
	record->dns = dns;
	record->ttl = certauto__option_number(certauto__fe_target(job), "ttl");
	memcpy(record->zone, zone, strlen(zone) + 1);
	memcpy(record->name, name, len);
	memcpy(record->name + len, ".", 2);
	record->next = dns->records;
	dns->records = record;
	return record;
}

/* The strings of a TXT record have quotes around them here, and at most 255 bytes each. */
static int quote(certauto__buffer *out, const char *value)
{
	size_t i;

	certauto__buffer_text_add(out, "\"");
	for (i = 0; value[i] != '\0'; i++) {
		if (i > 0 && i % STRING_MAX == 0)
			certauto__buffer_text_add(out, "\" \"");
		if (value[i] == '"' || value[i] == '\\')
			certauto__buffer_text_add(out, "\\");
		certauto__buffer_add(out, value + i, 1);
	}
	return certauto__buffer_text_add(out, "\"");
}

static void record_kept(certauto_job *job, void *arg)
{
	const certauto_error *error = certauto_job_error(job);
	struct certauto__fe_record *record = arg;

	record->running = 0;
	record->known = error == NULL;
	if (error != NULL)
		certauto__error_copy(&record->error, error);
	certauto__queue_wake(&record->waiting, SIZE_MAX);
}

/* Starts the job, or waits for the one that is at it. Which one will have to do with what this one
 * wants is noted: what became of one before is not its affair. */
static certauto__verdict record_need(certauto_job *job, struct certauto__fe_record *record)
{
	uintptr_t mine = (uintptr_t)certauto__fact_number(job, ".kept_by", 0);

	if (!record->running && record->error.code != 0 && mine != 0 && record->serial >= mine) {
		certauto_error error = {0};

		certauto__error_copy(&error, &record->error);
		return certauto__fail_with(job, &error);
	}
	if (mine == 0)
		certauto__fact_set_number(job, ".kept_by", (int64_t)record->serial + 1);
	if (!record->running) {
		record->known = record->rounds = record->busy = record->polls = 0;
		record->pages = 0;
		record->taken_at = 0;
		record->phase = LIST;
		record->marker[0] = '\0';
		certauto__error_clear(&record->error);
		if (certauto__fe_service(job, &record_table, record, record_kept,
			    certauto__job_error_of(job)) < 0)
			return CERTAUTO__FAILED;
		record->running = 1;
		record->serial++;
	}
	return certauto__park(job, &record->waiting);
}

/* What a job wants is its child's, so that it is given up with the job, however that ends: one that
 * was left at once cannot say it, and is asked again when it is taken up. */
struct claim {
	struct certauto__fe_record *record; /* borrowed: its session is the child's peer */
	certauto__buffer value;
	int made;
};

static void claim_drop(struct claim *claim)
{
	if (claim->made)
		(void)list_drop(&claim->record->wanted, claim->value.data);
	claim->made = 0;
}

static void claim_free(void *env)
{
	struct claim *claim = env;

	claim_drop(claim);
	certauto__buffer_free(&claim->value);
	certauto__free(claim);
}

static int claim_call(certauto_job *job, certauto__exchange *x)
{
	struct claim *claim = certauto__job_env(job);

	if (certauto__list_add_text(&claim->record->wanted, claim->value.data) < 0)
		return certauto__error_nomem(&x->error);
	claim->made = 1;
	while (list_drop(&claim->record->unwanted, claim->value.data))
		;
	return 0;
}

/* A call, for which the record is saved before. */
static certauto__verdict claim_ask(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, claim_call);
}

static const struct certauto__step claim_steps[] = {
	{.name = "claim", .ask = claim_ask},
};

static const struct certauto__table claim_table = {
	.name = "fe-claim",
	.steps = claim_steps,
	.n_steps = 1,
};

certauto__verdict certauto__fe_record_want(certauto_job *job, const char *zone, const char *name,
	const char *value)
{
	certauto_error *err = certauto__job_error_of(job);
	struct certauto__fe_record *record = record_find(job, zone, name, err);
	struct claim *claim;

	if (record == NULL)
		return CERTAUTO__FAILED;
	if ((claim = certauto__alloc(sizeof(*claim))) == NULL) {
		certauto__error_nomem(err);
		return CERTAUTO__FAILED;
	}
	claim->record = record;
	certauto__buffer_init(&claim->value, TEXT_MAX);
	if (quote(&claim->value, value) < 0) {
		certauto__error_nomem(err);
		claim_free(claim);
		return CERTAUTO__FAILED;
	}
	return certauto__child_start(job, &claim_table, "claim", claim, claim_free,
		certauto__job_peer(job), 0) != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

certauto__verdict certauto__fe_record_there(certauto_job *job, const char *zone, const char *name,
	const char *value)
{
	struct certauto__fe_record *record =
		record_find(job, zone, name, certauto__job_error_of(job));
	certauto__buffer text = CERTAUTO__BUFFER(TEXT_MAX);
	int there;

	if (record == NULL)
		return CERTAUTO__FAILED;
	quote(&text, value);
	there = record->known &&
		certauto__list_has(&record->set.values, certauto__buffer_text(&text));
	certauto__buffer_free(&text);
	if (!there)
		return record_need(job, record);
	certauto__fact_set(job, ".kept_by", NULL);
	return CERTAUTO__NEXT;
}

/* Once: the job is asked again until it is gone. */
static int leave(certauto_job *job, struct certauto__fe_record *record, const char *text)
{
	const certauto_job *child = certauto__child(job, &claim_table, 0);

	if (certauto__fact_own(job, ".leaves") != NULL)
		return 0;
	certauto__fact_set(job, ".leaves", "yes");
	certauto__fact_set(job, ".kept_by", NULL);
	if (child != NULL)
		claim_drop(certauto__job_env(child));
	return certauto__list_has(&record->unwanted, text)
		? 0 : certauto__list_add_text(&record->unwanted, text);
}

/* A name and its wildcard are through one shortly after the other. Were the first value taken away
 * at once, the second would have to wait until that is in effect, and then as long again. */
static int is_held(const certauto_job *job, const struct certauto__fe_record *record)
{
	return !record->running && record->wanted.n > 0 && certauto__step_age_ms(job) < HOLD_MS;
}

certauto__verdict certauto__fe_record_gone(certauto_job *job, const char *zone, const char *name,
	const char *value)
{
	struct certauto__fe_record *record =
		record_find(job, zone, name, certauto__job_error_of(job));
	certauto__buffer text = CERTAUTO__BUFFER(TEXT_MAX);
	certauto__verdict verdict = CERTAUTO__NEXT;
	int rc;

	if (record == NULL)
		return CERTAUTO__FAILED;
	if ((rc = quote(&text, value)) < 0 || (rc = leave(job, record, text.data)) < 0)
		verdict = certauto__fail(job, rc, name, "%s", certauto_error_text(rc));
	else if (certauto__list_has(&record->wanted, text.data)) /* another job's, too */
		(void)list_drop(&record->unwanted, text.data);
	else if (record->known && !certauto__list_has(&record->set.values, text.data))
		(void)list_drop(&record->unwanted, text.data);
	else
		verdict = is_held(job, record) ? certauto__again(job, HOLD_POLL_MS)
					       : record_need(job, record);
	certauto__buffer_free(&text);
	return verdict;
}
