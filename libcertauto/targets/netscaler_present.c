/* SPDX-License-Identifier: Apache-2.0 */
/* http-01 on a NetScaler: a responder action with the answer, a responder policy for that host and
 * path with the same name, bound to the virtual server in front of what is bound there already. The
 * same steps put up the policy of the stateless mode, which stays. */

#include "targets/netscaler_present.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "targets/device.h"

#define TEXT_MAX 8192        /* of an expression, as the device takes them */
#define LITERAL 128          /* bytes of an answer in one literal: the device takes 255 */
#define SPAN 4096            /* priorities that are looked at for a free one */
#define FIRST 100            /* the lowest of them, unless told or what is bound is lower */
#define PRIORITY_MAX 2147483647
#define CLASHES_MAX 3        /* priorities that somebody else was quicker to take */
#define LEFT_AFTER_S 7200    /* no run takes that long: what it has made, it has left */
#define LEFT_MAX 16          /* leftovers one job removes */

/* Where a policy is bound. */
static const struct kind {
	const char *name;
	const char *type;
	const char *policy; /* what the policy's name is called there */
} kinds[] = {
	{"cs", "csvserver_responderpolicy_binding", "policyname"},
	{"lb", "lbvserver_responderpolicy_binding", "policyname"},
	{"vpn", "vpnvserver_responderpolicy_binding", "policy"},
	{"global", "responderglobal_responderpolicy_binding", "policyname"},
};

#define N_DETECTED 3 /* of them the first ones: a global binding is asked for by name */

static const struct kind *kind_named(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (certauto__text_equal(name, kinds[i].name))
			return &kinds[i];
	return NULL;
}

static const struct kind *kind_of(const certauto_job *job)
{
	return kind_named(certauto__fact_own(job, "kind"));
}

static int is_global(const struct kind *kind)
{
	return kind == &kinds[N_DETECTED];
}

/* The one the policy was bound to, whatever is configured by now. NULL for what is bound
 * globally. */
static const char *vserver_of(const certauto_job *job)
{
	return is_global(kind_of(job)) ? NULL : certauto__fact_own(job, "vserver");
}

static const char *object_of(const certauto_job *job)
{
	return certauto__fact_own(job, "object");
}

static int is_answered(const certauto_job *job)
{
	return certauto__fact_own(job, ".answered") != NULL;
}

const char *certauto__netscaler_token(const certauto_job *job)
{
	const char *token = certauto__fact(job, "token");

	return token != NULL ? token : "TOKEN";
}

const char *certauto__netscaler_value(const certauto_job *job)
{
	const char *value = certauto__fact(job, ".value");

	return value != NULL ? value : "TOKEN.THUMBPRINT";
}

/* ---- begin ---- */

static certauto__verdict begin_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict =
		certauto__challenge_begin(job, certauto__netscaler_target(job));

	certauto__fact_set(job, ".answered", NULL);
	return verdict == CERTAUTO__NEXT && certauto__netscaler_stateless(job)
		? certauto__challenge_check_ask(job, x)
		: verdict;
}

/* ---- observe: what is bound there ---- */

struct scan {
	const certauto_job *job;
	int64_t own_at;               /* where that one is bound; 0: it is not */
	int64_t foreign;              /* lowest priority of a policy that is not of a challenge */
	int64_t low, high;            /* marked: those from low on, below high */
	unsigned char used[SPAN / 8 + 1];
	char own[CERTAUTO__NS_NAME];   /* of this challenge, whenever it was made */
	char other[CERTAUTO__NS_NAME]; /* a stateless one of another account */
	certauto__buffer left;        /* what earlier runs have left, with commas */
	int n_left;
};

/* The name ours has, or had if it was made then. */
static void own_name(char out[CERTAUTO__NS_NAME], const certauto_job *job, int64_t made)
{
	if (certauto__netscaler_stateless(job))
		certauto__netscaler_stateless_name(out, job);
	else
		certauto__netscaler_answer(out, certauto__netscaler_target(job),
			certauto__fact(job, "name"), certauto__netscaler_token(job), made);
}

static int scan_row(void *arg, const char *const *values)
{
	struct scan *scan = arg;
	const certauto_target *target = certauto__netscaler_target(scan->job);
	const char *object = values[0];
	char own[CERTAUTO__NS_NAME];
	int64_t priority, made;

	/* No name has a comma: what was left is listed with them. */
	if (object == NULL || strchr(object, ',') != NULL)
		return 0;
	if (values[1] == NULL ||
		certauto__number_parse(values[1], 1, PRIORITY_MAX, &priority) < 0)
		priority = 0;
	made = certauto__netscaler_answer_time(object, target);
	own_name(own, scan->job, made);
	if (strcmp(object, own) == 0) {
		memcpy(scan->own, own, sizeof(own));
		scan->own_at = priority;
	} else if (certauto__netscaler_stateless_is(object, target)) {
		(void)snprintf(scan->other, sizeof(scan->other), "%s", object);
	} else if (made != 0 && certauto__clock_now() - made >= LEFT_AFTER_S &&
		scan->n_left < LEFT_MAX) {
		certauto__buffer_printf(&scan->left, "%s%s", scan->n_left++ > 0 ? "," : "", object);
	}
	if (made == 0 && priority > 0 && priority < scan->foreign)
		scan->foreign = priority;
	return scan->left.rc;
}

static int mark_row(void *arg, const char *const *values)
{
	struct scan *scan = arg;
	int64_t at;

	if (values[1] != NULL &&
		certauto__number_parse(values[1], scan->low, scan->high - 1, &at) == 0) {
		at -= scan->low;
		scan->used[at / 8] |= (unsigned char)(1U << (at % 8));
	}
	return 0;
}

static int64_t at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* In front of what is bound there: a redirect to https would be quicker than the answer else. Where
 * the configuration says from where on, that holds, and it is in front of what is behind that. */
static void scan_span(struct scan *scan)
{
	const certauto_target *target = certauto__netscaler_target(scan->job);
	int is_told = certauto__option_is_set(target, "priority");
	int64_t first = is_told ? certauto__option_number(target, "priority") : FIRST;

	scan->low = first;
	scan->high = at_most(first + SPAN, PRIORITY_MAX + (int64_t)1);
	if (scan->foreign > first) {
		scan->high = at_most(scan->high, scan->foreign);
	} else if (!is_told && scan->foreign > 1) {
		scan->high = scan->foreign;
		scan->low = scan->high > SPAN ? scan->high - SPAN : 1;
	}
}

/* A free one; 0: none is. Jobs that read the same list take different ones: they begin to look at
 * places that their objects' names tell. */
static int64_t scan_free(const struct scan *scan)
{
	int64_t n = scan->high - scan->low, clashes, begin, i, at;
	unsigned char digest[32];
	const char *object = object_of(scan->job);

	if (object == NULL)
		return 0; /* short of memory: the job is about to fail for that */
	certauto__sha256(digest, object, strlen(object));
	clashes = certauto__fact_number(scan->job, ".clashes", 0);
	begin = digest[2 * clashes] << 8 | digest[2 * clashes + 1];
	for (i = 0; i < n; i++) {
		at = (begin + i) % n;
		if ((scan->used[at / 8] & 1U << (at % 8)) == 0)
			return scan->low + at;
	}
	return 0;
}

static const char *observe_kind(const certauto_job *job)
{
	const char *set =
		certauto__option_text(certauto__netscaler_target(job), "vserver_type");

	return set != NULL ? set : kinds[certauto__fact_number(job, ".tried", 0)].name;
}

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__netscaler_target(job);
	const struct kind *kind;

	if (is_answered(job))
		return CERTAUTO__NEXT;
	certauto__fact_set(job, "kind", observe_kind(job));
	certauto__fact_set(job, "vserver", certauto__option_text(target, "vserver"));
	if ((kind = kind_of(job)) == NULL)
		return CERTAUTO__FAILED;
	if (!is_global(kind) && vserver_of(job) == NULL)
		return certauto__fail(job, CERTAUTO_EINVAL, target->label,
			"%s: to answer challenges the option vserver must be set, or vserver_type "
			"to global",
			target->label);
	return certauto__netscaler_get(x, target, kind->type, vserver_of(job),
		is_global(kind) ? "args=type:REQ_OVERRIDE" : NULL);
}

static certauto__verdict vserver_missing(certauto_job *job, const certauto__exchange *x)
{
	const certauto_target *target = certauto__netscaler_target(job);
	const char *vserver = certauto__option_text(target, "vserver"),
		   *type = certauto__option_text(target, "vserver_type");
	char doing[300];
	certauto_error error = {0};

	(void)snprintf(doing, sizeof(doing),
		"there is no %s virtual server \"%.200s\" to answer the challenge",
		type != NULL ? type : "cs, lb or vpn", vserver);
	certauto__netscaler_tell(&error, x, target, vserver, doing);
	error.code = CERTAUTO_ENOTFOUND;
	certauto__error_advise(&error,
		"write the options vserver, vserver_type and partition as \"show cs vserver\" and "
		"\"show lb vserver\" have them: the one of type HTTP with port 80 of that name");
	return certauto__fail_with(job, &error);
}

static int is_missing(const certauto__exchange *x)
{
	int code = certauto__netscaler_code(x);

	return x->status == 404 || code == CERTAUTO__NS_NO_RESOURCE ||
		code == CERTAUTO__NS_NO_BIND_RESOURCE;
}

/* The kind is not told, and there is one more to try. */
static int other_kind(certauto_job *job)
{
	int64_t tried = certauto__fact_number(job, ".tried", 0) + 1;

	if (certauto__option_text(certauto__netscaler_target(job), "vserver_type") != NULL ||
		tried == N_DETECTED)
		return 0;
	certauto__fact_set_number(job, ".tried", tried);
	return 1;
}

static int scan_rows(const certauto_job *job, const certauto__exchange *x,
	certauto__netscaler_row_cb cb, struct scan *scan, certauto_error *err)
{
	const struct kind *kind = kind_of(job);
	const char *const fields[] = {kind->policy, "priority", NULL};

	return certauto__netscaler_rows(x, kind->type, fields, cb, scan, err);
}

/* The time is noted once: a run that is taken up again finds its objects under the same name. */
static void observe_name(certauto_job *job, const struct scan *scan)
{
	char object[CERTAUTO__NS_NAME];

	if (object_of(job) == NULL || scan->own[0] != '\0') {
		own_name(object, job, certauto__clock_now());
		certauto__fact_set(job, "object", scan->own[0] != '\0' ? scan->own : object);
	}
	certauto__fact_set(job, ".bound", scan->own[0] != '\0' ? "yes" : NULL);
	certauto__fact_set(job, ".left", scan->left.data);
	/* It cannot be seen whether it answers: that it is there must do. */
	if (scan->own[0] != '\0' && certauto__netscaler_stateless(job) &&
		certauto__text_equal(certauto__option_text(certauto__netscaler_target(job),
			"challenge_check"), "no"))
		certauto__fact_set(job, ".answered", "yes");
}

static certauto__verdict observe_note(certauto_job *job, const certauto__exchange *x,
	struct scan *scan)
{
	int64_t priority;

	if (certauto__netscaler_stateless(job) && scan->other[0] != '\0' &&
		!certauto__planning(job))
		return certauto__netscaler_stateless_other(job, scan->other);
	observe_name(job, scan);
	scan_span(scan);
	if (scan_rows(job, x, mark_row, scan, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	/* What is bound is bound once more where it is: only what was sent is taken back. */
	if ((priority = scan->own_at > 0 ? scan->own_at : scan_free(scan)) == 0 &&
		scan->own[0] == '\0')
		return certauto__fail(job, CERTAUTO_EREFUSED, vserver_of(job),
			"%s: no priority is free for the challenge's policy",
			certauto__netscaler_target(job)->label);
	certauto__fact_set_number(job, ".priority", priority);
	return CERTAUTO__NEXT;
}

/* After a priority was taken by somebody else, action and policy are still there; after the other
 * node has become the primary, nobody knows. */
static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	struct scan scan = {
		.job = job,
		.foreign = (int64_t)PRIORITY_MAX + 1,
		.left = CERTAUTO__BUFFER(LEFT_MAX * CERTAUTO__NS_NAME),
	};
	certauto__verdict verdict = CERTAUTO__FAILED;

	if (is_missing(x))
		return other_kind(job) ? certauto__again(job, 0) : vserver_missing(job, x);
	if (certauto__netscaler_code(x) != CERTAUTO__NS_DONE)
		return certauto__netscaler_refused(job, x, vserver_of(job),
			"looking at the policies that are bound");
	certauto__netscaler_node_note(job); /* the session is open by now */
	if (!certauto__fact_is(job, ".bind", "clash")) {
		certauto__fact_set(job, ".action", NULL);
		certauto__fact_set(job, ".policy", NULL);
	}
	if (scan_rows(job, x, scan_row, &scan, certauto__job_error_of(job)) == 0)
		verdict = observe_note(job, x, &scan);
	certauto__buffer_free(&scan.left);
	return verdict;
}

/* ---- sweep: what runs left that were killed together with what they knew ---- */

static certauto__verdict unbind(const certauto_job *job, certauto__exchange *x, const char *object)
{
	const struct kind *kind = kind_of(job);
	certauto__buffer query = CERTAUTO__BUFFER(1024);
	certauto__verdict verdict;

	certauto__buffer_text_add(&query, "args=");
	certauto__netscaler_arg(&query, kind->policy, object);
	if (is_global(kind))
		certauto__netscaler_arg(&query, "type", "REQ_OVERRIDE");
	verdict = certauto__netscaler_delete(x, certauto__netscaler_target(job), kind->type,
		vserver_of(job), certauto__buffer_text(&query));
	certauto__buffer_free(&query);
	return verdict;
}

static int sweep_each(certauto_job *job)
{
	certauto__list left = {0};
	int n;

	if (is_answered(job) || certauto__fact_own(job, ".left") == NULL)
		return 0;
	certauto__list_split(&left, certauto__fact_own(job, ".left"), ',');
	n = (int)left.n;
	certauto__list_free(&left);
	return 3 * n;
}

/* Each: unbound, the policy, the action. */
static certauto__verdict sweep_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__netscaler_target(job);
	certauto__list left = {0};
	size_t i = (size_t)certauto__index(job);
	certauto__verdict verdict = CERTAUTO__NEXT;

	certauto__list_split(&left, certauto__fact_own(job, ".left"), ',');
	if (i / 3 < left.n) {
		if (i % 3 == 0)
			verdict = unbind(job, x, left.items[i / 3]);
		else
			verdict = certauto__netscaler_delete(x, target,
				i % 3 == 1 ? "responderpolicy" : "responderaction",
				left.items[i / 3], NULL);
	}
	certauto__list_free(&left);
	return verdict;
}

/* Worth a try: others may be at it too, and it answers for nobody any more. */
static certauto__verdict sweep_read(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	return CERTAUTO__NEXT;
}

/* ---- action and policy ---- */

/* NetScaler's text for `HTTP/1.1 200 OK ... KEYAUTH`. */
static void action_answer(certauto__buffer *out, const certauto_job *job)
{
	const char *value = certauto__netscaler_value(job);
	size_t len = strlen(value), at;

	if (certauto__netscaler_stateless(job)) {
		certauto__netscaler_stateless_answer(out, job);
		return;
	}
	certauto__buffer_printf(out,
		"\"" CERTAUTO__NETSCALER_HEAD
		"Content-Length: %zu\\r\\nConnection: close\\r\\n\\r\\n\"",
		len);
	for (at = 0; at < len; at += LITERAL)
		certauto__buffer_printf(out, " + \"%.*s\"", LITERAL, value + at);
}

/* SERVER is the host without the port, and does not mind upper and lower case: a CA asks on port 80
 * without one, but what is in front of the device may not. An IPv6 address stands in brackets
 * there, as it does in a request. */
static void policy_rule(certauto__buffer *out, const certauto_job *job)
{
	const char *name = certauto__fact(job, "name");
	int is_ipv6 = strchr(name, ':') != NULL;

	if (certauto__netscaler_stateless(job)) {
		certauto__netscaler_stateless_rule(out);
		return;
	}
	certauto__buffer_printf(out,
		"HTTP.REQ.HOSTNAME.SERVER.EQ(\"%s%s%s\") && "
		"HTTP.REQ.URL.PATH.EQ(\"" CERTAUTO__NETSCALER_CHALLENGES "%s\")",
		is_ipv6 ? "[" : "", name, is_ipv6 ? "]" : "", certauto__netscaler_token(job));
}

/* The two objects, by what they differ in. */
static const struct part {
	const char *type;
	const char *fact;   /* "there", "compare": something of that name is; NULL */
	const char *field;  /* what makes it ours */
	const char *doing;
	void (*write)(certauto__buffer *out, const certauto_job *job);
} action = {"responderaction", ".action", "target", "adding the responder action", action_answer},
  policy = {"responderpolicy", ".policy", "rule", "adding the responder policy", policy_rule};

static certauto__verdict part_post(certauto_job *job, certauto__exchange *x,
	const struct part *part)
{
	certauto__buffer text = CERTAUTO__BUFFER(TEXT_MAX);
	certauto__verdict verdict;
	certauto__json w;

	certauto__fact_set(job, part->type, NULL);
	part->write(&text, job);
	certauto__netscaler_post(&w, x, certauto__netscaler_target(job), part->type, NULL);
	certauto__json_put_text(&w, "name", object_of(job));
	if (part == &action)
		certauto__json_put_text(&w, "type", "respondwith");
	else
		certauto__json_put_text(&w, "action", object_of(job));
	certauto__json_put_text(&w, part->field, certauto__buffer_text(&text));
	verdict = certauto__netscaler_end(&w);
	if (text.rc < 0)
		x->body.rc = text.rc;
	certauto__buffer_free(&text);
	return verdict;
}

static certauto__verdict part_ask(certauto_job *job, certauto__exchange *x,
	const struct part *part)
{
	if (is_answered(job) || certauto__fact_is(job, part->fact, "there"))
		return CERTAUTO__NEXT;
	if (certauto__fact_is(job, part->fact, "compare"))
		return certauto__netscaler_get(x, certauto__netscaler_target(job), part->type,
			object_of(job), NULL);
	return part_post(job, x, part);
}

struct comparison {
	const char *wanted;
	int is_same;
};

/* But for blanks, which the device writes as it likes. */
static int same_row(void *arg, const char *const *values)
{
	struct comparison *comparison = arg;
	const char *a = comparison->wanted, *b = values[0] != NULL ? values[0] : "";

	for (;; a++, b++) {
		a += strspn(a, " ");
		b += strspn(b, " ");
		if (*a != *b || *a == '\0')
			break;
	}
	comparison->is_same = *a == *b;
	return 0;
}

static certauto__verdict part_foreign(certauto_job *job, const struct part *part)
{
	certauto_error error = {0};

	certauto__fact_set(job, part->type, "none");
	certauto__error_set(&error, CERTAUTO_EREFUSED, object_of(job),
		"%s: there is a %s already, with another content", part->doing, object_of(job));
	certauto__device_sign(&error, certauto__netscaler_target(job));
	certauto__error_advise(&error,
		"if nobody needs it, remove it: unbind it, rm responder policy, rm responder "
		"action; else choose another prefix");
	return certauto__fail_with(job, &error);
}

static certauto__verdict part_compare(certauto_job *job, const certauto__exchange *x,
	const struct part *part)
{
	const char *const fields[] = {part->field, NULL};
	certauto__buffer text = CERTAUTO__BUFFER(TEXT_MAX);
	certauto_error *err = certauto__job_error_of(job);
	struct comparison comparison = {NULL, 0};
	int rc;

	part->write(&text, job);
	comparison.wanted = certauto__buffer_text(&text);
	rc = text.rc < 0 ? certauto__error_nomem(err)
			 : certauto__netscaler_rows(
				   x, part->type, fields, same_row, &comparison, err);
	certauto__buffer_free(&text);
	if (rc < 0)
		return CERTAUTO__FAILED;
	return comparison.is_same ? CERTAUTO__NEXT : part_foreign(job, part);
}

/* A definite no: there is nothing to take back, for which a right may be missing as well. */
static certauto__verdict refused(certauto_job *job, const certauto__exchange *x, const char *fact,
	const char *object, const char *doing)
{
	certauto__verdict verdict = certauto__netscaler_refused(job, x, object, doing);

	if (verdict == CERTAUTO__FAILED)
		certauto__fact_set(job, fact, "none");
	return verdict;
}

/* That it exists is what an attempt finds whose forerunner worked and whose answer was lost. */
static certauto__verdict part_read(certauto_job *job, certauto__exchange *x,
	const struct part *part)
{
	int is_compared = certauto__fact_is(job, part->fact, "compare");
	int code = certauto__netscaler_code(x);
	certauto__verdict verdict = CERTAUTO__NEXT;

	if (code == CERTAUTO__NS_EXISTS && !is_compared) {
		certauto__fact_set(job, part->fact, "compare");
		return certauto__again(job, 0);
	}
	if (code != CERTAUTO__NS_DONE)
		return refused(job, x, part->type, object_of(job), part->doing);
	if (is_compared)
		verdict = part_compare(job, x, part);
	if (verdict == CERTAUTO__NEXT)
		certauto__fact_set(job, part->fact, "there");
	return verdict;
}

/* The stateless one stays, half made too: the next run goes on from there. */
static int is_left_alone(const certauto_job *job)
{
	return certauto__netscaler_stateless(job) || object_of(job) == NULL ||
		kind_of(job) == NULL;
}

static certauto__verdict part_undo(certauto_job *job, certauto__exchange *x,
	const struct part *part)
{
	if (is_left_alone(job) || certauto__fact_is(job, part->type, "none"))
		return CERTAUTO__NEXT;
	return certauto__netscaler_delete(
		x, certauto__netscaler_target(job), part->type, object_of(job), NULL);
}

static certauto__verdict action_ask(certauto_job *job, certauto__exchange *x)
{
	return part_ask(job, x, &action);
}

static certauto__verdict action_read(certauto_job *job, certauto__exchange *x)
{
	return part_read(job, x, &action);
}

static certauto__verdict action_undo(certauto_job *job, certauto__exchange *x)
{
	return part_undo(job, x, &action);
}

static certauto__verdict policy_ask(certauto_job *job, certauto__exchange *x)
{
	return part_ask(job, x, &policy);
}

static certauto__verdict policy_read(certauto_job *job, certauto__exchange *x)
{
	return part_read(job, x, &policy);
}

static certauto__verdict policy_undo(certauto_job *job, certauto__exchange *x)
{
	return part_undo(job, x, &policy);
}

/* ---- bind ---- */

static certauto__verdict bind_ask(certauto_job *job, certauto__exchange *x)
{
	const struct kind *kind = kind_of(job);
	certauto__json w;

	if (is_answered(job) ||
		(certauto__netscaler_stateless(job) && certauto__fact_is(job, ".bound", "yes")))
		return CERTAUTO__NEXT;
	certauto__fact_set(job, ".bind", NULL);
	certauto__fact_set(job, "binding", NULL);
	certauto__netscaler_put(&w, x, certauto__netscaler_target(job), kind->type);
	if (!is_global(kind))
		certauto__json_put_text(&w, "name", vserver_of(job));
	certauto__json_put_text(&w, kind->policy, object_of(job));
	certauto__json_put_number(&w, "priority", certauto__fact_number(job, ".priority", 0));
	if (is_global(kind)) {
		/* Else what is bound to a virtual server comes first. */
		certauto__json_put_text(&w, "type", "REQ_OVERRIDE");
		certauto__json_put_text(&w, "gotopriorityexpression", "END");
	}
	return certauto__netscaler_end(&w);
}

/* A priority that is taken may be taken by an attempt of our own, whose answer was lost: a new look
 * tells. */
static certauto__verdict bind_read(certauto_job *job, certauto__exchange *x)
{
	int64_t clashes = certauto__fact_number(job, ".clashes", 0) + 1;
	int code = certauto__netscaler_code(x);

	if (code == CERTAUTO__NS_DONE || code == CERTAUTO__NS_EXISTS ||
		(code == CERTAUTO__NS_PRIORITY_USED && certauto__fact_is(job, ".bound", "yes")))
		return CERTAUTO__NEXT;
	if (code == CERTAUTO__NS_PRIORITY_USED && clashes <= CLASHES_MAX) {
		certauto__fact_set_number(job, ".clashes", clashes);
		certauto__fact_set(job, ".bind", "clash");
		return certauto__goto(job, "observe");
	}
	return refused(job, x, "binding", vserver_of(job), "binding the challenge's policy");
}

static certauto__verdict bind_undo(certauto_job *job, certauto__exchange *x)
{
	return is_left_alone(job) || certauto__fact_is(job, "binding", "none")
		? CERTAUTO__NEXT : unbind(job, x, object_of(job));
}

/* ---- check ---- */

/* What is not answered at once may be so because the device cannot: the feature is off, the virtual
 * server down, the node not the primary any more. The test of the target knows. */
static certauto__verdict check_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict;

	if (is_answered(job))
		return CERTAUTO__NEXT;
	if (certauto__fact_is(job, ".look", "role")) {
		if ((verdict = certauto__netscaler_role_ask(job, x)) != CERTAUTO__NEXT)
			return verdict;
		certauto__fact_set(job, ".look", "test");
	}
	if (!certauto__fact_is(job, ".look", "test"))
		return certauto__challenge_check_ask(job, x);
	return certauto__child_start(job, &certauto__netscaler_test, "test",
		       certauto__job_env(job), NULL, certauto__job_peer(job), 0) != NULL
		? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static certauto__verdict check_read(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict = CERTAUTO__NEXT;

	if (certauto__fact_is(job, ".look", "role")) {
		certauto__fact_set(job, ".look", "test");
		verdict = certauto__netscaler_role_read(job, x);
	} else if (certauto__fact_is(job, ".look", "test")) {
		certauto__fact_set(job, ".look", "done");
		if (certauto__children_errors(job, &certauto__netscaler_test) > 0)
			return CERTAUTO__FAILED;
	} else {
		verdict = certauto__challenge_check_read(job, x);
		if (verdict == CERTAUTO__WAIT_AGAIN && certauto__fact_own(job, ".look") == NULL)
			certauto__fact_set(job, ".look",
				certauto__netscaler_is_pair(job) ? "role" : "test");
		return verdict;
	}
	return verdict == CERTAUTO__NEXT ? certauto__again(job, 0) : verdict;
}

/* ---- find: for a cleanup that was not told what the run before it knew ---- */

static certauto__verdict find_ask(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	return CERTAUTO__NEXT; /* on the way forward everything is known */
}

static certauto__verdict find_undo(certauto_job *job, certauto__exchange *x)
{
	if (certauto__netscaler_stateless(job) || object_of(job) != NULL)
		return CERTAUTO__NEXT;
	return observe_ask(job, x);
}

static certauto__verdict find_undo_read(certauto_job *job, certauto__exchange *x)
{
	struct scan scan = {.job = job, .left = CERTAUTO__BUFFER(LEFT_MAX * CERTAUTO__NS_NAME)};
	certauto_error error = {0};
	int rc;

	if (is_missing(x) && other_kind(job))
		return certauto__again(job, 0);
	if (certauto__netscaler_code(x) != CERTAUTO__NS_DONE) {
		certauto__netscaler_tell(&error, x, certauto__netscaler_target(job),
			vserver_of(job), "looking for what is to be removed");
		return certauto__fail_with(job, &error);
	}
	rc = scan_rows(job, x, scan_row, &scan, &x->error);
	certauto__buffer_free(&scan.left);
	if (rc < 0)
		return certauto__fail_with(job, &x->error);
	if (scan.own[0] != '\0')
		certauto__fact_set(job, "object", scan.own);
	return CERTAUTO__NEXT;
}

static const struct certauto__step netscaler_present_steps[] = {
	{.name = "begin", .ask = begin_ask, .read = certauto__netscaler_stateless_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "observe", .ask = observe_ask, .read = observe_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "sweep", .ask = sweep_ask, .read = sweep_read, .each = sweep_each,
		.flags = CERTAUTO__ANYHOW},
	{.name = "action", .ask = action_ask, .read = action_read, .undo = action_undo,
		.undo_read = certauto__netscaler_gone, .flags = CERTAUTO__ERRORS},
	{.name = "policy", .ask = policy_ask, .read = policy_read, .undo = policy_undo,
		.undo_read = certauto__netscaler_gone, .flags = CERTAUTO__ERRORS},
	{.name = "bind", .ask = bind_ask, .read = bind_read, .undo = bind_undo,
		.undo_read = certauto__netscaler_gone, .flags = CERTAUTO__ERRORS},
	{.name = "save", .ask = certauto__netscaler_stateless_save},
	{.name = "check", .ask = check_ask, .read = check_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "find", .ask = find_ask, .undo = find_undo, .undo_read = find_undo_read},
};

const struct certauto__table certauto__netscaler_present = {
	.name = "netscaler-present",
	.steps = netscaler_present_steps,
	.n_steps = sizeof(netscaler_present_steps) / sizeof(netscaler_present_steps[0]),
};
