/* SPDX-License-Identifier: Apache-2.0 */
/* An answer to a challenge is taken away: detached from the virtual services it is attached to,
 * port 80 closed by the last one that needed it open, and deleted. For the end of a challenge, for
 * what a killed run has left, and for somebody who knows name and token only: all of it may be
 * there or not, and others come and go at the same time.
 *
 * Volatile facts: ".set" and ".object", UUID and name of the set; ".places" and ".indexes", where
 * it is attached, with commas; of the place that it is being taken from ".todo", what comes next,
 * ".index", ".lingered", ".closed" when we have closed port 80, and of the mark that was seen
 * there ".mark", ".mark.at" and ".mark.stays"; ".more", that there are further sets for that
 * challenge. */

#include "targets/avi_deploy.h"
#include "targets/avi_present.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#define TRIES_MAX 20
#define CROWDED_MS 25 /* more each time */
/* An order has some of its names answered at a time. When the last of these have gone, the next are
 * about to come: without a moment's patience port 80 would be closed and opened for each batch. */
#define LINGER_MS 300
#define TWINS_MAX 3 /* sets for one challenge: of runs that nobody cleaned up after */

static const char *object_of(const certauto_job *job)
{
	const char *object = certauto__fact_own(job, ".object");

	return object != NULL ? object : certauto__job_key(job);
}

/* Of the challenge that our parent answers: then it knows more than a name. */
static int is_known(const certauto_job *job)
{
	return certauto__text_equal(certauto__job_key(job), certauto__fact(job, "object"));
}

static int is_gone(const certauto_job *job)
{
	return certauto__fact_own(job, ".set") == NULL;
}

static int is_todo(const certauto_job *job, const char *todo)
{
	return certauto__text_equal(certauto__fact_own(job, ".todo"), todo);
}

/* ---- which one ---- */

/* Those for name and token: all of their names but for the time is known. */
static certauto__verdict which_all(certauto_job *job, certauto__exchange *x)
{
	static const char epoch[] = CERTAUTO__AVI_ANSWER "00000000";
	const certauto_target *target = certauto__avi_target(job);
	const char *name = certauto__fact(job, "name"), *token = certauto__fact(job, "token"), *at;
	certauto__buffer query = CERTAUTO__BUFFER(2048);
	char own[CERTAUTO__AVI_NAME];
	certauto__verdict verdict;

	certauto__avi_answer(own, target, name != NULL ? name : "", token != NULL ? token : "", 0);
	at = strstr(own, epoch);
	certauto__avi_arg(&query, "name.contains", at != NULL ? at + sizeof(epoch) - 1 : own);
	certauto__buffer_text_add(&query, "&fields=name&page_size=200");
	verdict = certauto__avi_call(
		x, target, "GET", "httppolicyset", NULL, certauto__buffer_text(&query));
	if (query.rc < 0)
		x->url.rc = query.rc;
	certauto__buffer_free(&query);
	return verdict;
}

static certauto__verdict which_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__avi_target(job);
	const char *key = certauto__job_key(job);

	if (is_known(job) && certauto__fact(job, "set") != NULL) {
		certauto__fact_set(job, ".set", certauto__fact(job, "set"));
		return CERTAUTO__NEXT;
	}
	if (key[0] != '\0')
		return certauto__avi_set_get(x, target, key);
	return which_all(job, x);
}

/* The name it has been given at whatever time. */
static int is_of_challenge(const certauto_job *job, const char *object)
{
	const certauto_target *target = certauto__avi_target(job);
	const char *name = certauto__fact(job, "name"), *token = certauto__fact(job, "token");
	int64_t made = certauto__avi_answer_time(object, target);
	char own[CERTAUTO__AVI_NAME];

	if (made == 0 || name == NULL || token == NULL)
		return 0;
	certauto__avi_answer(own, target, name, token, made);
	return strcmp(object, own) == 0;
}

static int which_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;
	const char *key = certauto__job_key(job);

	if (values[0] == NULL || values[1] == NULL ||
		!(key[0] != '\0' ? strcmp(key, values[1]) == 0 : is_of_challenge(job, values[1])))
		return 0;
	if (certauto__fact_own(job, ".set") != NULL) {
		certauto__fact_set(job, ".more", "yes");
		return 0;
	}
	certauto__fact_set(job, ".set", values[0]);
	certauto__fact_set(job, ".object", values[1]);
	return 0;
}

static certauto__verdict which_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", "name", NULL};

	if (certauto__avi_status(x) / 100 != 2)
		return certauto__avi_refused(
			job, x, object_of(job), "looking for the policy set that is to be removed");
	certauto__fact_set(job, ".set", NULL);
	certauto__fact_set(job, ".more", NULL);
	return certauto__rest_rows(x, fields, which_row, job, NULL, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- where it is ---- */

static void add_place(certauto_job *job, const char *uuid, const char *index)
{
	const char *places = certauto__fact_own(job, ".places"),
		   *all = certauto__fact_own(job, ".indexes");

	certauto__fact_printf(job, ".places", "%s%s%s", places != NULL ? places : "",
		places != NULL ? "," : "", uuid);
	certauto__fact_printf(
		job, ".indexes", "%s%s%s", all != NULL ? all : "", all != NULL ? "," : "", index);
}

static void add_known(certauto_job *job, const char *place, const char *index)
{
	const char *uuid = certauto__fact(job, place), *at = certauto__fact(job, index);

	if (uuid != NULL && at != NULL)
		add_place(job, uuid, at);
}

static certauto__verdict where_ask(certauto_job *job, certauto__exchange *x)
{
	const char *set = certauto__fact_own(job, ".set");
	certauto__buffer query = CERTAUTO__BUFFER(1024);
	certauto__verdict verdict;
	char text[CERTAUTO__AVI_UUID + 16];

	certauto__fact_set(job, ".places", NULL);
	certauto__fact_set(job, ".indexes", NULL);
	if (is_gone(job))
		return CERTAUTO__NEXT;
	if (is_known(job) && certauto__fact_own(job, ".in_use") == NULL) {
		add_known(job, "child", "at.1");
		add_known(job, "door", "at.0");
		return CERTAUTO__NEXT;
	}
	(void)snprintf(text, sizeof(text), "httppolicyset:%s", set);
	certauto__avi_vs_query(&query, "refers_to", text);
	certauto__buffer_text_add(&query, "&page_size=200");
	verdict = certauto__avi_call(x, certauto__avi_target(job), "GET", "virtualservice", NULL,
		certauto__buffer_text(&query));
	if (query.rc < 0)
		x->url.rc = query.rc;
	certauto__buffer_free(&query);
	return verdict;
}

/* The index it has there; "" if it is not attached. */
static void index_of(char out[24], const certauto_job *job, const char *const *vs)
{
	struct certauto__avi_sets at;
	struct certauto__avi_set set;

	out[0] = '\0';
	for (certauto__avi_sets_begin(&at, vs); certauto__avi_sets_next(&at, &set);)
		if (certauto__text_equal(set.uuid, certauto__fact_own(job, ".set")))
			memcpy(out, set.index, sizeof(set.index));
}

static int where_row(void *arg, const char *const *vs)
{
	certauto_job *job = arg;
	char index[24];

	index_of(index, job, vs);
	if (vs[CERTAUTO__AVI_VS_UUID] != NULL && index[0] != '\0')
		add_place(job, vs[CERTAUTO__AVI_VS_UUID], index);
	return 0;
}

static certauto__verdict where_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__avi_status(x) / 100 != 2)
		return certauto__avi_refused(
			job, x, object_of(job), "looking for what the policy set is attached to");
	return certauto__rest_rows(x, certauto__avi_vs_fields, where_row, job, NULL,
		       certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- leave ---- */

static int leave_each(certauto_job *job)
{
	const char *at = certauto__fact_own(job, ".places");
	char uuid[CERTAUTO__AVI_UUID];
	int n = 0;

	while (certauto__avi_item(uuid, sizeof(uuid), &at))
		n++;
	return n;
}

static void nth(char *out, size_t size, const char *list, int n)
{
	while (certauto__avi_item(out, size, &list) && n-- > 0)
		;
}

/* A mark is not simply taken away. */
static void leave_begin(certauto_job *job)
{
	char index[24];

	nth(index, sizeof(index), certauto__fact_own(job, ".indexes"), certauto__index(job));
	certauto__fact_set(job, ".index", index);
	certauto__fact_set(
		job, ".todo", certauto__avi_is_mark(object_of(job)) ? "look" : "detach");
	certauto__fact_set(job, ".closed", NULL);
	certauto__fact_set(job, ".lingered", NULL);
	certauto__fact_set(job, ".no_put", NULL);
}

static certauto__verdict leave_send(certauto_job *job, certauto__exchange *x, const char *uuid)
{
	const char *set = is_todo(job, "detach") ? certauto__fact_own(job, ".set") : NULL,
		   *mark = set == NULL ? certauto__fact_own(job, ".mark") : NULL;
	certauto__verdict verdict = certauto__avi_call(
		x, certauto__avi_target(job), "PATCH", "virtualservice", uuid, NULL);
	certauto__json w;

	certauto__avi_body(&w, x);
	certauto__json_object(&w);
	certauto__json_key(&w, is_todo(job, "open") ? "add" : "delete");
	certauto__json_object(&w);
	certauto__avi_put_sets(&w, set, certauto__fact_own(job, ".index"), mark,
		certauto__fact_own(job, ".mark.at"));
	if (is_todo(job, "open") || is_todo(job, "close"))
		certauto__avi_put_port80(&w, certauto__fact_own(job, ".http2") != NULL);
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	return verdict;
}

/* Written whole, as it was when nobody needed port 80: if somebody has come since, the controller
 * refuses it, for the object has been changed. */
static certauto__verdict close_send(certauto_job *job, certauto__exchange *x, const char *uuid)
{
	struct certauto__rest_edit edits[] = {
		{certauto__fact_own(job, ".put.service"), NULL},
		{certauto__fact_own(job, ".put.mark"), NULL}};
	certauto__verdict verdict = certauto__avi_call(
		x, certauto__avi_target(job), "PUT", "virtualservice", uuid, NULL);

	return certauto__avi_kept(x, job, edits, 2) < 0 ? CERTAUTO__FAILED : verdict;
}

static certauto__verdict leave_ask(certauto_job *job, certauto__exchange *x)
{
	char uuid[CERTAUTO__AVI_UUID];

	if (certauto__step_attempts(job) == 1)
		leave_begin(job);
	nth(uuid, sizeof(uuid), certauto__fact_own(job, ".places"), certauto__index(job));
	if (is_todo(job, "look"))
		return certauto__avi_vs_get(x, certauto__avi_target(job), uuid);
	if (is_todo(job, "close") && certauto__fact_own(job, ".no_put") == NULL)
		return close_send(job, x, uuid);
	return leave_send(job, x, uuid);
}

static void note_put(certauto_job *job, const struct certauto__avi_port80 *port80,
	const struct certauto__avi_set *mark, const char *sets)
{
	certauto__fact_printf(job, ".put.service", "services[%d]", port80->item);
	if (strchr(sets, ',') == NULL)
		certauto__fact_set(job, ".put.mark", "http_policies");
	else
		certauto__fact_printf(job, ".put.mark", "http_policies[%d]", mark->item);
}

/* The last that needed port 80 closes it, if nobody has come after a while. Whoever came in the
 * very moment, and saw it open, gets it open again. A service that somebody has changed meanwhile
 * is no longer ours. */
static const char *next_at_door(certauto_job *job, const char *const *vs)
{
	int is_marked, is_used = certauto__avi_has_answer(vs, certauto__fact_own(job, ".set"));
	struct certauto__avi_port80 port80;
	struct certauto__avi_set mark;

	certauto__avi_port80(&port80, vs);
	certauto__fact_set(job, ".http2", port80.with_http2 ? "yes" : NULL);
	is_marked = certauto__avi_mark(
		&mark, vs, is_known(job) ? certauto__fact(job, "mark") : NULL);
	certauto__fact_set(job, ".mark.stays", is_marked ? mark.uuid : NULL);
	if (is_marked && !is_used) {
		certauto__fact_set(job, ".mark", mark.uuid);
		certauto__fact_set(job, ".mark.at", mark.index);
		note_put(job, &port80, &mark, vs[CERTAUTO__AVI_VS_SETS]);
		if (certauto__fact_own(job, ".lingered") != NULL)
			certauto__fact_set(job, ".closed", "yes");
		return port80.is_alone ? "close" : "unmark";
	}
	return is_used && !is_marked && !port80.is_plain && !port80.is_tls &&
		certauto__fact_own(job, ".closed") != NULL ? "open" : "nothing";
}

static int leave_row(void *arg, const char *const *vs)
{
	certauto_job *job = arg;
	char index[24];

	index_of(index, job, vs);
	if (index[0] != '\0' && !certauto__avi_is_mark(object_of(job))) {
		certauto__fact_set(job, ".index", index);
		certauto__fact_set(job, ".todo", "detach");
		return 0;
	}
	if (!is_todo(job, "looked") && certauto__avi_is_nameless(vs))
		return 0; /* the answer to a look has names */
	certauto__fact_set(job, ".todo",
		certauto__avi_vs_is_child(vs) ? "nothing" : next_at_door(job, vs));
	return 0;
}

/* What is not there is not always taken for removed; and somebody else may be changing it. */
static certauto__verdict leave_refused(certauto_job *job, const certauto__exchange *x)
{
	if (certauto__avi_status(x) == 404)
		return CERTAUTO__NEXT; /* the virtual service has gone */
	if (is_todo(job, "close") && !certauto__avi_is_stale(x) && certauto__avi_status(x) != 0 &&
		certauto__fact_own(job, ".no_put") == NULL) {
		certauto__fact_set(job, ".no_put", "yes"); /* then the way that may be too late */
		return certauto__again(job, 0);
	}
	if (certauto__avi_is_crowded(x) && !is_todo(job, "look") &&
		certauto__step_attempts(job) < TRIES_MAX) {
		certauto__fact_set(job, ".todo", "look");
		return certauto__again(job, certauto__avi_status(x) == 400
				? 0 : CROWDED_MS * certauto__step_attempts(job));
	}
	return certauto__avi_refused(job, x, object_of(job),
		is_todo(job, "close") ? "closing port 80 again"
				      : "detaching the policy set from its virtual service");
}

static certauto__verdict leave_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__avi_status(x) / 100 != 2)
		return leave_refused(job, x);
	certauto__fact_set(job, ".todo", is_todo(job, "look") ? "looked" : "look");
	if (certauto__rest_object(x, certauto__avi_vs_fields, leave_row, job,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (is_todo(job, "looked"))
		certauto__fact_set(job, ".todo", "look"); /* no object came */
	if (is_todo(job, "nothing"))
		return CERTAUTO__NEXT;
	if (is_todo(job, "close"))
		certauto__avi_keep(job, x);
	if (is_todo(job, "close") && certauto__fact_own(job, ".lingered") == NULL) {
		certauto__fact_set(job, ".lingered", "yes");
		certauto__fact_set(job, ".todo", "look");
		return certauto__again(job, LINGER_MS);
	}
	if (certauto__step_attempts(job) < TRIES_MAX)
		return certauto__again(job, 0);
	return certauto__avi_refused(
		job, x, object_of(job), "the policy set stays attached to its virtual service");
}

/* ---- remove ---- */

static certauto__verdict remove_ask(certauto_job *job, certauto__exchange *x)
{
	if (is_gone(job) || (certauto__avi_is_mark(object_of(job)) &&
		certauto__fact_own(job, ".mark.stays") != NULL))
		return CERTAUTO__NEXT;
	return certauto__avi_call(x, certauto__avi_target(job), "DELETE", "httppolicyset",
		certauto__fact_own(job, ".set"), NULL);
}

static certauto__verdict remove_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__avi_status(x) / 100 == 2 || certauto__avi_status(x) == 404)
		return CERTAUTO__NEXT;
	if (certauto__avi_is_in_use(x) && certauto__fact_own(job, ".in_use") == NULL) {
		certauto__fact_set(job, ".in_use", "yes");
		return certauto__goto(job, "where");
	}
	return certauto__avi_refused(job, x, object_of(job), "deleting the policy set");
}

/* ---- unmark: the mark that is no longer attached, and our own that never was ---- */

static int unmark_each(certauto_job *job)
{
	return certauto__avi_is_mark(object_of(job)) ? 0 : 2;
}

/* The name of our own; "": we have made none. A run that was killed may have detached one that was
 * made for another name, and then not come to delete it: what it saw last is not known any more. */
static void own_mark(char out[CERTAUTO__AVI_NAME], const certauto_job *job)
{
	const char *name = certauto__fact(job, "mark.name"), *door = certauto__fact(job, "door");

	out[0] = '\0';
	if (is_known(job) && name != NULL)
		(void)snprintf(out, CERTAUTO__AVI_NAME, "%s", name);
	else if (is_known(job) && door != NULL && certauto__fact(job, ".vs.name") == NULL)
		certauto__avi_mark_name(out, certauto__avi_target(job), door);
}

static const char *mark_of(const certauto_job *job)
{
	const char *mark;

	if (certauto__index(job) == 0)
		return certauto__fact_own(job, ".mark");
	mark = certauto__fact_own(job, ".mark.own");
	return mark == NULL && is_known(job) ? certauto__fact(job, "mark") : mark;
}

static certauto__verdict unmark_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__avi_target(job);
	const char *mark = mark_of(job);
	char name[CERTAUTO__AVI_NAME];

	if (certauto__index(job) == 1) {
		own_mark(name, job);
		if (name[0] == '\0' || certauto__fact_own(job, ".mark.none") != NULL)
			return CERTAUTO__NEXT;
		if (mark == NULL)
			return certauto__avi_set_get(x, target, name);
		if (certauto__text_equal(mark, certauto__fact_own(job, ".mark")))
			return CERTAUTO__NEXT;
	}
	if (mark == NULL || certauto__text_equal(mark, certauto__fact_own(job, ".mark.stays")))
		return CERTAUTO__NEXT;
	return certauto__avi_call(x, target, "DELETE", "httppolicyset", mark, NULL);
}

static int unmark_row(void *arg, const char *const *values)
{
	char name[CERTAUTO__AVI_NAME];

	own_mark(name, arg);
	if (values[1] != NULL && strcmp(values[1], name) == 0)
		certauto__fact_set(arg, ".mark.own", values[0]);
	return 0;
}

/* In use: somebody has opened port 80 again. */
static certauto__verdict unmark_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", "name", NULL};
	int is_get = certauto__text_equal(x->method, "GET");

	if (!is_get && (certauto__avi_status(x) == 404 || certauto__avi_is_in_use(x)))
		return CERTAUTO__NEXT;
	if (certauto__avi_status(x) / 100 != 2)
		return certauto__avi_refused(job, x, object_of(job),
			"deleting the policy set that marked port 80 as opened");
	if (!is_get)
		return CERTAUTO__NEXT;
	if (certauto__rest_rows(x, fields, unmark_row, job, NULL, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".mark.own") == NULL)
		certauto__fact_set(job, ".mark.none", "yes");
	return certauto__again(job, 0);
}

/* A challenge that was answered by several runs; without an end if none of them would go. */
static certauto__verdict more_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__fact_own(job, ".more") == NULL ||
		certauto__fact_number(job, ".twins", 1) == TWINS_MAX)
		return CERTAUTO__NEXT;
	certauto__fact_set_number(job, ".twins", certauto__fact_number(job, ".twins", 1) + 1);
	certauto__fact_set(job, ".in_use", NULL);
	certauto__fact_set(job, ".mark", NULL);
	certauto__fact_set(job, ".mark.stays", NULL);
	return certauto__goto(job, "which");
}

static const struct certauto__step avi_leave_steps[] = {
	{.name = "which", .ask = which_ask, .read = which_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "where", .ask = where_ask, .read = where_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "leave", .ask = leave_ask, .read = leave_read, .each = leave_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "remove", .ask = remove_ask, .read = remove_read, .flags = CERTAUTO__ERRORS},
	{.name = "unmark", .ask = unmark_ask, .read = unmark_read, .each = unmark_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "more", .ask = more_ask},
};

const struct certauto__table certauto__avi_leave = {
	.name = "avi-leave",
	.steps = avi_leave_steps,
	.n_steps = sizeof(avi_leave_steps) / sizeof(avi_leave_steps[0]),
};
