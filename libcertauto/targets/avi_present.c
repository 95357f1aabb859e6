/* SPDX-License-Identifier: Apache-2.0 */
/* http-01 on an Avi controller: an HTTP policy set that answers that host and path, attached to the
 * virtual service of the name, behind the policies that are there: a security policy comes before
 * redirects. The match is not for port 80 alone, so that the CA may be sent to https.
 *
 * Whatever is to be there is compared with what was last seen, the difference is sent, and the
 * answer, which is the whole object, is what is compared next. Others do the same at the same time.
 * avi_leave.c takes it away again.
 *
 * Facts: "object", the name of the set; "set", its UUID; "at.0" and "at.1", the index it has at the
 * door and at the child, written before it is attached there; "mark.name" and "mark", of the mark
 * if we have made one; and those of avi_find.c. Volatile, of attach: ".doing", what was asked last;
 * ".look" if the virtual service is to be, and ".mark.look" if the mark is; ".mark.spare", one that
 * was refused; ".sent" and ".same". Of check: ".looked", "now" or "yes", at what is attached. */

#include "targets/avi_present.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "targets/device.h"

#define CHALLENGES "/.well-known/acme-challenge/"
#define FIRST 1000001 /* lowest index of ours: people number from 1 on */
#define SPAN 65536
#define ATTEMPTS_MAX 24 /* requests about one place: others may be quicker */
#define SAME_MAX 3
#define CROWDED_MS 50
#define LOOK_AFTER_MS 1500 /* changes usually take less to reach the service engines */
#define LEFT_AFTER_S 7200 /* no run takes that long: what it has made, it has left */
#define LEFT_MAX 16       /* leftovers one job removes */

static const char *const places[CERTAUTO__AVI_PLACES] = {"door", "child"};
static const char *const indexes[CERTAUTO__AVI_PLACES] = {"at.0", "at.1"};

/* A plan may not have been told, and shows something. */
static const char *told(const certauto_job *job, const char *fact, const char *otherwise)
{
	const char *text = certauto__fact(job, fact);

	return text != NULL ? text : otherwise;
}

static const char *token_of(const certauto_job *job)
{
	return told(job, "token", "TOKEN");
}

static const char *value_of(const certauto_job *job)
{
	return told(job, ".value", "TOKEN.THUMBPRINT");
}

/* The virtual service, after what is done with it. */
static certauto__verdict refused(certauto_job *job, const certauto__exchange *x, const char *doing)
{
	const char *name = told(job, ".vs.name", "");
	certauto__buffer text = CERTAUTO__BUFFER(2048);
	certauto_error error = {0};

	certauto__buffer_printf(&text, "%s the virtual service \"", doing);
	certauto__text_escape(&text, name, strlen(name));
	certauto__buffer_text_add(&text, "\"");
	certauto__avi_tell(
		&error, x, certauto__avi_target(job), name, certauto__buffer_text(&text));
	certauto__buffer_free(&text);
	if (error.advice == NULL)
		certauto__error_advise(&error,
			"set the option virtualservice to one that speaks HTTP and has port 80, or "
			"can have it: no other one at its VIP may listen there");
	return certauto__fail_with(job, &error);
}

static certauto__verdict unfit(certauto_job *job, const char *matter, const char *advice)
{
	const certauto_target *target = certauto__avi_target(job);
	const char *name = told(job, ".vs.name", "");
	certauto__buffer shown = CERTAUTO__BUFFER(1024);
	certauto_error error = {0};

	certauto__text_escape(&shown, name, strlen(name));
	certauto__error_set(&error, CERTAUTO_EREFUSED, name, "the virtual service \"%s\" %s",
		certauto__buffer_text(&shown), matter);
	certauto__buffer_free(&shown);
	certauto__device_sign(&error, target);
	certauto__error_advise(&error, "%s", advice);
	return certauto__fail_with(job, &error);
}

/* ---- begin ---- */

static certauto__verdict begin_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__challenge_begin(job, certauto__avi_target(job));
}

/* ---- sweep: what runs left that were killed together with what they knew ---- */

static certauto__verdict sweep_ask(certauto_job *job, certauto__exchange *x)
{
	if (!certauto__avi_first(job))
		return CERTAUTO__NEXT;
	return certauto__avi_call(x, certauto__avi_target(job), "GET", "httppolicyset", NULL,
		"name.contains=" CERTAUTO__AVI_ANSWER "&fields=name&page_size=200");
}

struct left {
	certauto_job *job;
	certauto__buffer names;
	int n;
};

static int left_row(void *arg, const char *const *values)
{
	struct left *left = arg;
	int64_t made;

	if (values[0] == NULL || left->n == LEFT_MAX || strchr(values[0], '\n') != NULL)
		return 0;
	made = certauto__avi_answer_time(values[0], certauto__avi_target(left->job));
	if (!certauto__avi_is_mark(values[0]) &&
		(made == 0 || certauto__clock_now() - made < LEFT_AFTER_S))
		return 0;
	return certauto__buffer_printf(
		&left->names, "%s%s", left->n++ > 0 ? "\n" : "", values[0]);
}

/* Worth a try: they answer for nobody any more. */
static certauto__verdict sweep_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"name", NULL};
	struct left left = {job, CERTAUTO__BUFFER(LEFT_MAX * CERTAUTO__AVI_NAME), 0};

	if (certauto__avi_status(x) == 200 &&
		certauto__rest_rows(x, fields, left_row, &left, NULL, NULL) == 0)
		certauto__fact_set(job, ".left", left.names.data);
	certauto__buffer_free(&left.names);
	return CERTAUTO__NEXT;
}

static certauto__verdict leftovers_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__list left = {0};
	size_t i;

	(void)x;
	if (certauto__fact_own(job, ".left") == NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	certauto__list_split(&left, certauto__fact_own(job, ".left"), '\n');
	for (i = 0; i < left.n; i++)
		if (certauto__child_start(job, &certauto__avi_leave, left.items[i],
			    certauto__job_env(job), NULL, certauto__job_peer(job), 0) == NULL)
			break;
	certauto__list_free(&left);
	return CERTAUTO__JOIN;
}

static certauto__verdict leftovers_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	certauto__children_drop(job, &certauto__avi_leave);
	return CERTAUTO__NEXT;
}

/* ---- create ---- */

static void put_host(certauto__json *w, const char *name)
{
	char text[CERTAUTO__NAME_SIZE + 2];
	int is_ipv6 = strchr(name, ':') != NULL;

	certauto__json_key(w, "host_hdr");
	certauto__json_object(w);
	certauto__json_put_text(w, "match_criteria", "HDR_EQUALS");
	certauto__json_put_text(w, "match_case", "INSENSITIVE");
	certauto__json_key(w, "value");
	certauto__json_array(w);
	(void)snprintf(text, sizeof(text), "%s%.253s%s", is_ipv6 ? "[" : "", name,
		is_ipv6 ? "]" : "");
	certauto__json_text(w, text);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
}

static void put_match(certauto__json *w, const char *host, const char *file)
{
	char text[CERTAUTO__NAME_SIZE + sizeof(CHALLENGES)];

	certauto__json_key(w, "match");
	certauto__json_object(w);
	certauto__json_key(w, "path");
	certauto__json_object(w);
	certauto__json_put_text(w, "match_criteria", "EQUALS");
	certauto__json_put_text(w, "match_case", "SENSITIVE");
	certauto__json_key(w, "match_str");
	certauto__json_array(w);
	(void)snprintf(text, sizeof(text), CHALLENGES "%.255s", file);
	certauto__json_text(w, text);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	if (host != NULL)
		put_host(w, host);
	certauto__json_object_end(w);
}

static void put_action(certauto__json *w, const char *content)
{
	certauto__json_key(w, "action");
	certauto__json_object(w);
	certauto__json_put_text(w, "action", "HTTP_SECURITY_ACTION_SEND_RESPONSE");
	certauto__json_put_text(w, "status_code", "HTTP_LOCAL_RESPONSE_STATUS_CODE_200");
	certauto__json_key(w, "file");
	certauto__json_object(w);
	certauto__json_put_text(w, "content_type", "text/plain");
	certauto__json_put_text(w, "file_content", content);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
}

/* One that gives that content for the file among the challenges, of the host (NULL: of any). */
static void put_policy_set(certauto__json *w, const char *name, const char *description,
	const char *host, const char *file, const char *content)
{
	certauto__json_object(w);
	certauto__json_put_text(w, "name", name);
	certauto__json_put_text(w, "description", description);
	certauto__json_put_bool(w, "is_internal_policy", 0);
	certauto__json_key(w, "http_security_policy");
	certauto__json_object(w);
	certauto__json_key(w, "rules");
	certauto__json_array(w);
	certauto__json_object(w);
	certauto__json_put_text(w, "name", "http-01");
	certauto__json_put_number(w, "index", 1);
	certauto__json_put_bool(w, "enable", 1);
	put_match(w, host, file);
	put_action(w, content);
	certauto__json_object_end(w);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
}

/* The time is noted once: a run that is taken up again finds its set under the same name. */
static void name_object(certauto_job *job)
{
	char name[CERTAUTO__AVI_NAME];

	if (certauto__fact_own(job, "object") != NULL)
		return;
	certauto__avi_answer(name, certauto__avi_target(job), told(job, "name", ""),
		token_of(job), certauto__clock_now());
	certauto__fact_set(job, "object", name);
}

/* NEXT: port 80 is open, or may be opened. */
static certauto__verdict see_port80(certauto_job *job)
{
	if (certauto__fact_own(job, ".vs.port80") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__fact_own(job, ".vs.tls80") != NULL)
		return unfit(job, "speaks TLS at port 80, where a CA asks without",
			"set the option virtualservice to the one that answers the name at "
			"port 80 without TLS");
	if (!certauto__option_flag(certauto__avi_target(job), "temporary_port80"))
		return unfit(job, "has no service for plain HTTP at port 80",
			"add one, or set the option temporary_port80 to yes: then it is "
			"there while a challenge is answered");
	return CERTAUTO__NEXT;
}

static certauto__verdict create_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__avi_target(job);
	char text[CERTAUTO__NAME_SIZE + 64];
	certauto__verdict verdict;
	certauto__json w;

	if (see_port80(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	name_object(job);
	if (certauto__fact_own(job, ".create") == NULL) {
		verdict = certauto__avi_call(x, target, "POST", "httppolicyset", NULL, NULL);
		certauto__avi_body(&w, x);
		(void)snprintf(text, sizeof(text),
			"certauto answers the http-01 challenge for %.255s", told(job, "name", ""));
		put_policy_set(&w, told(job, "object", ""), text, told(job, "name", ""),
			token_of(job), value_of(job));
		return verdict;
	}
	return certauto__avi_set_get(x, target, told(job, "object", ""));
}

static int set_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;

	if (values[0] != NULL && (values[1] == NULL || certauto__fact_is(job, "object", values[1])))
		certauto__fact_set(job, "set", values[0]);
	return 0;
}

/* That it exists is what an attempt finds whose forerunner worked and whose answer was lost; its
 * name is nobody else's. */
static certauto__verdict create_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", "name", NULL};
	int is_looked = certauto__fact_own(job, ".create") != NULL;

	if (!certauto__avi_is_taken(x) && certauto__avi_status(x) / 100 != 2) {
		if (!is_looked && certauto__avi_status(x) != 0)
			certauto__fact_set(job, "object", NULL); /* nothing to take back */
		return certauto__avi_refused(
			job, x, told(job, "name", ""), "adding the policy set");
	}
	if (!certauto__avi_is_taken(x) &&
		certauto__rest_rows(x, fields, set_row, job, NULL, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, "set") != NULL)
		return CERTAUTO__NEXT;
	if (is_looked)
		return certauto__avi_refused(
			job, x, told(job, "name", ""), "looking for the policy set just made");
	certauto__fact_set(job, ".create", "look");
	return certauto__again(job, 0);
}

static certauto__verdict create_undo(certauto_job *job, certauto__exchange *x)
{
	const char *object = certauto__fact_own(job, "object");

	(void)x;
	if (object == NULL && certauto__job_table(job) == &certauto__avi_present)
		return CERTAUTO__NEXT;
	certauto__children_drop(job, &certauto__avi_leave);
	return certauto__child_start(job, &certauto__avi_leave, object != NULL ? object : "",
		       certauto__job_env(job), NULL, certauto__job_peer(job), 0) != NULL
		? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static certauto__verdict create_undo_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__children_errors(job, &certauto__avi_leave) > 0 ? CERTAUTO__FAILED
									: CERTAUTO__NEXT;
}

/* ---- attach ---- */

static int attach_each(certauto_job *job)
{
	(void)job;
	return CERTAUTO__AVI_PLACES;
}

static enum certauto__avi_place place_of(const certauto_job *job)
{
	return (enum certauto__avi_place)certauto__index(job);
}

/* At the parent of an EVH child only to keep port 80 open. */
static int is_needed(const certauto_job *job, enum certauto__avi_place place)
{
	if (place == CERTAUTO__AVI_CHILD)
		return certauto__fact_own(job, "child") != NULL;
	return certauto__fact_own(job, ".child.evh") == NULL ||
		!certauto__fact_is(job, ".vs.port80", "yes");
}

/* Of what is attached there: the set of that UUID, or what has that index. */
static int has(const certauto_job *job, enum certauto__avi_place place, const char *uuid,
	const char *index)
{
	struct certauto__avi_sets at;
	struct certauto__avi_set set;

	certauto__avi_noted(&at, job, place);
	while (certauto__avi_sets_next(&at, &set))
		if (certauto__text_equal(set.uuid, uuid) || certauto__text_equal(set.index, index))
			return 1;
	return 0;
}

static int is_attached(const certauto_job *job, enum certauto__avi_place place)
{
	const char *set = certauto__fact_own(job, "set");

	return set != NULL && has(job, place, set, NULL);
}

/* Jobs that have read the same take different ones: they begin to look at places that the names of
 * their sets tell. */
static void choose_index(char out[24], const certauto_job *job, const char *object, int first)
{
	unsigned char digest[32];
	int i, begin;

	certauto__sha256(digest, object, strlen(object));
	begin = digest[0] << 8 | digest[1];
	for (i = 0; i < SPAN; i++) {
		(void)snprintf(out, 24, "%d", first + (begin + i) % SPAN);
		if (!has(job, place_of(job), NULL, out))
			break;
	}
}

/* It has a rule, for a file that nobody asks for: what a controller would say to a set without any
 * is not known, and of one like an answer it is. */
static certauto__verdict mark_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__avi_target(job);
	char name[CERTAUTO__AVI_NAME];
	certauto__verdict verdict;
	certauto__json w;

	certauto__fact_set(job, ".doing", "mark");
	certauto__avi_mark_name(name, target, told(job, "door", ""));
	certauto__fact_set(job, "mark.name", name);
	if (certauto__fact_own(job, ".mark.look") != NULL)
		return certauto__avi_set_get(x, target, name);
	verdict = certauto__avi_call(x, target, "POST", "httppolicyset", NULL, NULL);
	certauto__avi_body(&w, x);
	put_policy_set(&w, name,
		"certauto has opened port 80, and closes it when no challenge is answered any more",
		NULL, name, name);
	return verdict;
}

/* What is missing. ".same": how often it was asked like that before. */
static certauto__verdict attach_send(certauto_job *job, certauto__exchange *x, int attaches,
	int opens)
{
	const char *at = indexes[place_of(job)], *mark = opens ? told(job, "mark", "MARK") : NULL;
	char index[24], mark_index[24], sent[CERTAUTO__AVI_UUID + 32];
	certauto__verdict verdict;
	certauto__json w;

	choose_index(index, job, told(job, "object", ""), FIRST);
	if (attaches)
		certauto__fact_set(job, at, index);
	choose_index(mark_index, job, told(job, "mark.name", ""), FIRST + SPAN);
	(void)snprintf(sent, sizeof(sent), "%s %s", index, mark != NULL ? mark : "");
	certauto__fact_set(job, ".doing", "attach");
	certauto__fact_set_number(job, ".same",
		certauto__fact_is(job, ".sent", sent) ? certauto__fact_number(job, ".same", 0) + 1
						      : 0);
	certauto__fact_set(job, ".sent", sent);
	verdict = certauto__avi_call(x, certauto__avi_target(job), "PATCH", "virtualservice",
		told(job, places[place_of(job)], "VIRTUALSERVICE"), NULL);
	certauto__avi_body(&w, x);
	certauto__json_object(&w);
	certauto__json_key(&w, "add");
	certauto__json_object(&w);
	certauto__avi_put_sets(
		&w, attaches ? told(job, "set", "SET") : NULL, index, mark, mark_index);
	if (opens)
		certauto__avi_put_port80(&w, certauto__fact_is(job, ".vs.http2", "yes"));
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	return verdict;
}

static certauto__verdict attach_ask(certauto_job *job, certauto__exchange *x)
{
	enum certauto__avi_place place = place_of(job);
	int attaches, opens;

	if (!is_needed(job, place))
		return CERTAUTO__NEXT;
	if (certauto__fact_own(job, ".look") != NULL) {
		certauto__fact_set(job, ".doing", "look");
		return certauto__avi_vs_get(
			x, certauto__avi_target(job), told(job, places[place], ""));
	}
	attaches = !is_attached(job, place);
	opens = place == CERTAUTO__AVI_DOOR && certauto__fact_own(job, ".vs.port80") == NULL;
	if (opens && see_port80(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (opens && certauto__fact_own(job, "mark") == NULL && !certauto__planning(job))
		return mark_ask(job, x);
	if (attaches || opens)
		return attach_send(job, x, attaches, opens);
	certauto__fact_set(job, ".sent", NULL);
	return CERTAUTO__NEXT;
}

static int mark_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;

	if (values[0] != NULL &&
		(values[1] == NULL || certauto__fact_is(job, "mark.name", values[1])))
		certauto__fact_set(job, "mark", values[0]);
	return 0;
}

/* Somebody else may have made it, and may remove it before it is looked at. */
static certauto__verdict mark_read(certauto_job *job, const certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", "name", NULL};
	int looks = certauto__avi_is_taken(x);

	if (!looks && certauto__avi_status(x) / 100 != 2) {
		if (certauto__avi_status(x) != 0)
			certauto__fact_set(job, "mark.name", NULL); /* nothing to take back */
		return refused(job, x, "adding the policy set that marks port 80 as opened at");
	}
	if (!looks &&
		certauto__rest_rows(x, fields, mark_row, job, NULL,
			certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__step_attempts(job) > ATTEMPTS_MAX)
		return refused(
			job, x, "looking for the policy set that marks port 80 as opened at");
	looks = looks || certauto__text_equal(x->method, "POST");
	certauto__fact_set(job, ".mark.look", looks ? "yes" : NULL);
	return certauto__again(job, 0);
}

struct seen {
	certauto_job *job;
	enum certauto__avi_place place;
	int n;
};

static int attach_row(void *arg, const char *const *vs)
{
	struct seen *seen = arg;

	seen->n++;
	certauto__avi_note(seen->job, seen->place, vs);
	return 0;
}

/* Whether a controller takes one set at both a child of SNI and its parent is not known: the parent
 * alone does it, but where visitors are sent to https. */
static int is_worth_a_try(const certauto_job *job)
{
	return place_of(job) == CERTAUTO__AVI_CHILD &&
		certauto__fact_own(job, ".child.evh") == NULL;
}

/* An index or port 80 was taken meanwhile, the mark has gone, or somebody else is changing it: a
 * look tells. */
static certauto__verdict attach_refused(certauto_job *job, const certauto__exchange *x)
{
	int is_final = certauto__avi_status(x) == 400 &&
		certauto__fact_number(job, ".same", 0) == SAME_MAX;

	if (certauto__avi_is_crowded(x) && !is_final &&
		!certauto__fact_is(job, ".doing", "look") &&
		certauto__step_attempts(job) < ATTEMPTS_MAX) {
		certauto__fact_set(job, ".look", "yes");
		return certauto__again(job, certauto__avi_status(x) == 400 ? 0 : CROWDED_MS);
	}
	if (certauto__avi_status(x) != 0 && !is_attached(job, place_of(job)))
		certauto__fact_set(job, indexes[place_of(job)], NULL); /* nothing to take back */
	if (is_worth_a_try(job)) {
		certauto__fact_set(job, ".look", NULL);
		return CERTAUTO__NEXT;
	}
	return refused(job, x, "attaching the policy set to");
}

static certauto__verdict attach_read(certauto_job *job, certauto__exchange *x)
{
	struct seen seen = {job, place_of(job), 0};

	if (certauto__fact_is(job, ".doing", "mark"))
		return mark_read(job, x);
	if (certauto__avi_status(x) / 100 != 2)
		return attach_refused(job, x);
	if (certauto__rest_object(x, certauto__avi_vs_fields, attach_row, &seen,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__step_attempts(job) > ATTEMPTS_MAX + 2)
		return refused(job, x, "the policy set does not stay attached to");
	/* Refused with a mark: it may have been removed by who closed port 80 just before. */
	if (certauto__fact_is(job, ".doing", "look")) {
		if (certauto__fact_own(job, "mark") != NULL)
			certauto__fact_set(job, ".mark.spare", certauto__fact_own(job, "mark"));
		certauto__fact_set(job, "mark", NULL);
	}
	certauto__fact_set(job, ".look", seen.n > 0 ? NULL : "yes");
	return certauto__again(job, 0);
}

/* Somebody else was quicker to open port 80: then our mark is of no use. */
static certauto__verdict spare_ask(certauto_job *job, certauto__exchange *x)
{
	const char *mark = certauto__fact_own(job, ".mark.spare");

	if (mark == NULL || certauto__text_equal(mark, certauto__fact_own(job, "mark")) ||
		has(job, CERTAUTO__AVI_DOOR, mark, NULL))
		return CERTAUTO__NEXT;
	return certauto__avi_call(
		x, certauto__avi_target(job), "DELETE", "httppolicyset", mark, NULL);
}

/* In use: somebody has attached it meanwhile, who calls it the same. */
static certauto__verdict spare_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__avi_status(x) / 100 == 2 && certauto__fact_own(job, "mark") == NULL)
		certauto__fact_set(job, "mark.name", NULL);
	return CERTAUTO__NEXT; /* else whoever takes the answer away looks for it once more */
}

/* ---- settle, check ---- */

/* What cannot be looked at is given the time that changes take. */
static certauto__verdict settle_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__avi_target(job);
	int64_t left = certauto__option_number(target, "settle_ms") - certauto__step_age_ms(job);

	(void)x;
	if (left <= 0 || certauto__planning(job) ||
		!certauto__text_equal(certauto__option_text(target, "challenge_check"), "no"))
		return CERTAUTO__NEXT;
	certauto__waiting(job, told(job, "name", NULL), 0,
		"until the service engines have the answer");
	return certauto__again(job, left);
}

/* Which of them a CA meets first that has something of ours. */
static enum certauto__avi_place asked_place(const certauto_job *job)
{
	return is_needed(job, CERTAUTO__AVI_DOOR) ? CERTAUTO__AVI_DOOR : CERTAUTO__AVI_CHILD;
}

/* Once, when it takes long: somebody may have written a virtual service as it was before our answer
 * was attached. Where it has gone, it is attached again. */
static certauto__verdict check_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".looked") != NULL ||
		certauto__step_age_ms(job) < LOOK_AFTER_MS)
		return certauto__challenge_check_ask(job, x);
	certauto__fact_set(job, ".looked", "now");
	return certauto__avi_vs_get(
		x, certauto__avi_target(job), told(job, places[asked_place(job)], ""));
}

static certauto__verdict check_read(certauto_job *job, certauto__exchange *x)
{
	struct seen seen = {job, asked_place(job), 0};

	if (!certauto__fact_is(job, ".looked", "now"))
		return certauto__challenge_check_read(job, x);
	certauto__fact_set(job, ".looked", "yes");
	if (certauto__avi_status(x) / 100 == 2 &&
		certauto__rest_object(x, certauto__avi_vs_fields, attach_row, &seen,
			certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return seen.n > 0 && !is_attached(job, seen.place) ? certauto__goto(job, "attach")
							   : certauto__again(job, 0);
}

/* What the look at the answer tells is the same for all targets; here a virtual service is known,
 * and where it is. An address is only asked in place of port 80: what that redirects to goes by the
 * DNS all the same. */
static void failed(certauto_job *job, certauto_error *error)
{
	const char *address = certauto__fact_own(job, ".vs.address"),
		   *vs = certauto__fact_own(job, ".vs.name"),
		   *name = certauto__fact(job, "name");
	int is_mapped = certauto__fact_own(job, ".check.address") != NULL;
	certauto__buffer where = CERTAUTO__BUFFER(2048);

	if (error->code != CERTAUTO_ECHALLENGE || vs == NULL)
		return;
	certauto__text_escape(&where, vs, strlen(vs));
	if (address != NULL)
		certauto__buffer_printf(&where, "\" at %s, port 80", address);
	else
		certauto__buffer_text_add(&where, "\", port 80");
	certauto__error_advise(error,
		"the CA will ask for the same URL: see that %s leads to the virtual service \"%s, "
		"also after a redirect. If only this machine is led elsewhere (split-horizon DNS), "
		"set the option challenge_check to %sno",
		name, certauto__buffer_text(&where), is_mapped ? "" :
		"that address and :80, or, where port 80 redirects to https, to ");
	certauto__buffer_free(&where);
}

static const struct certauto__step avi_present_steps[] = {
	{.name = "begin", .ask = begin_ask, .flags = CERTAUTO__READS},
	CERTAUTO__AVI_STEP_FIND,
	{.name = "sweep", .ask = sweep_ask, .read = sweep_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
	{.name = "leftovers", .ask = leftovers_ask, .read = leftovers_read},
	{.name = "create", .ask = create_ask, .read = create_read, .undo = create_undo,
		.undo_read = create_undo_read, .flags = CERTAUTO__ERRORS},
	{.name = "attach", .ask = attach_ask, .read = attach_read, .each = attach_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "spare", .ask = spare_ask, .read = spare_read, .flags = CERTAUTO__ANYHOW},
	{.name = "settle", .ask = settle_ask, .flags = CERTAUTO__READS},
	{.name = "check", .ask = check_ask, .read = check_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
};

const struct certauto__table certauto__avi_present = {
	.name = "avi-present",
	.steps = avi_present_steps,
	.n_steps = sizeof(avi_present_steps) / sizeof(avi_present_steps[0]),
	.failed = failed,
};
