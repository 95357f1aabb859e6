/* SPDX-License-Identifier: Apache-2.0 */
/* What of the DNS challenges all targets need: where the record really is, and the look at the name
 * servers before the CA is told to look: one of them that is late costs a failed validation there,
 * and those are limited.
 *
 * Facts of the look, none of them kept: ".dns.zone" (whose name servers are looked for),
 * ".dns.ns.i" (these, with a port), ".dns.label.i" and ".dns.address.i" (who is asked),
 * ".dns.shown.i" (that it shows the value: "udp", then "tcp" too), ".dns.said.i" (what it has
 * instead), ".dns.silent.i" (why it says nothing). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <certauto/error.h>

#include "jobs/target.h"

#define HOPS_MAX 8            /* CNAMEs in a row; CAs follow about as many */
#define NS_MAX 16
#define SERVERS_MAX 32
#define LOOK_DELAY_MS 100     /* doubled after each look */
#define LOOK_DELAY_MAX_MS 2000
#define SILENT_MS 10000       /* one that never answers is waited for no longer */
#define CSV_MAX 4096
#define SHOWN_VALUES 2        /* of a server that has others, how many are told */
#define SHOWN_LEN 60

/* ---- what is asked for ---- */

static int is_dns(const certauto_job *job)
{
	const char *challenge = certauto__fact(job, "challenge");

	return (challenge == NULL || certauto__text_starts(challenge, "dns-")) &&
		certauto__fact(job, "record") != NULL;
}

/* The only entry of the option dns_check; "" if there are several. */
static const char *check_of(const certauto_target *target)
{
	const certauto__list *check = certauto__option_list(target, "dns_check");

	return check->n == 0 ? "no" : check->n == 1 ? check->items[0] : "";
}

static int may_ask(const certauto_target *target)
{
	return !certauto__text_equal(check_of(target), "no");
}

/* The name servers are given, not found. */
static int is_listed(const certauto_target *target)
{
	const char *check = check_of(target);

	return !certauto__text_equal(check, "yes") && check[0] != ':';
}

/* Once for all jobs of a context: what is missing is missing for each of them. */
static void warn_once(certauto_job *job, const certauto_error *err)
{
	static const struct certauto__peer_ops absent_ops = {.kind = "dns"};
	certauto__peer *absent = NULL;
	int made;

	if (certauto__peer_get(&absent, certauto__job_cx(job), &absent_ops, "absent", 1, &made) < 0)
		return;
	if (made)
		certauto__warn(job, certauto__fact(job, "record"),
			"TXT records are not looked at before the CA is told to, and CNAMEs are "
			"not followed: %s; %s",
			certauto_error_message(err), certauto_error_advice(err));
	certauto__peer_unref(absent);
}

/* SEND: questions may be put. NEXT: nobody can put them. */
static certauto__verdict dns_begin(certauto_job *job, certauto__exchange *x)
{
	certauto_error err = {0};
	int rc = certauto__dns_new(&x->dns, &err);

	if (rc == CERTAUTO_EUNSUPPORTED) {
		warn_once(job, &err);
		certauto__error_clear(&err);
		return CERTAUTO__NEXT;
	}
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__SEND;
}

static int dns_call(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	x->wait_events = CERTAUTO__HTTP_IN;
	return certauto__dns_run(x->dns, &x->wait_fd, &x->again_ms, &x->error);
}

static certauto__verdict dns_send(certauto_job *job, certauto__exchange *x, int rc)
{
	return rc < 0 ? certauto__fail_with(job, &x->error) : certauto__ask_call(x, dns_call);
}

/* A question to the resolver. */
static int ask_resolver(const certauto_target *target, certauto__exchange *x, const char *name,
	enum certauto__dns_type type)
{
	const certauto__list *resolver = certauto__option_list(target, "dns_resolver");
	struct certauto__dns_question question = {.name = name, .type = type};
	certauto__buffer servers = CERTAUTO__BUFFER(CSV_MAX);
	char address[CERTAUTO__ADDRESS];
	size_t i;
	int rc;

	for (i = 0; i < resolver->n; i++) {
		if (certauto__address_format(address, resolver->items[i], 53) == 0)
			certauto__buffer_printf(&servers, "%s%s", i > 0 ? "," : "", address);
	}
	question.servers = servers.data;
	if ((rc = servers.rc) < 0)
		certauto__error_set(&x->error, rc, target->label, "%s", certauto_error_text(rc));
	else
		rc = certauto__dns_ask(x->dns, &question, &x->error);
	certauto__buffer_free(&servers);
	return rc;
}

/* ---- delegation ---- */

static const char *reached(const certauto_job *job)
{
	const char *at = certauto__fact_own(job, ".dns.at");

	return at != NULL ? at : certauto__fact(job, "record");
}

/* From here on the record is there. */
static certauto__verdict record_is(certauto_job *job, const char *owner)
{
	const char *record = certauto__fact(job, "record");

	if (owner != NULL && !certauto__text_equal(owner, record)) {
		certauto__progress(job, record, "%s is kept at %s", record, owner);
		certauto__fact_set(job, "record", owner);
	}
	return CERTAUTO__NEXT;
}

certauto__verdict certauto__dns_delegation_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	certauto__verdict verdict = CERTAUTO__NEXT;

	if (!is_dns(job))
		return CERTAUTO__NEXT;
	if (may_ask(target))
		verdict = dns_begin(job, x);
	if (verdict == CERTAUTO__NEXT)
		return record_is(job, certauto__option_text(target, "dns_alias"));
	if (verdict != CERTAUTO__SEND)
		return verdict;
	return dns_send(job, x, ask_resolver(target, x, reached(job), CERTAUTO__DNS_CNAME));
}

/* The CA goes by CNAMEs, whatever we are told. */
static certauto__verdict alias_missed(certauto_job *job, const char *alias)
{
	const certauto_target *target = certauto__job_env(job);
	const char *record = certauto__fact(job, "record"), *at = reached(job);
	certauto_error err = {0};

	certauto__error_set(&err, CERTAUTO_ECHALLENGE, record,
		"%s: option dns_alias is %s, but %s%s%s, which is where the CA will look",
		target->label, alias, record,
		certauto__text_equal(at, record) ? " is no CNAME" : " leads to ",
		certauto__text_equal(at, record) ? "" : at);
	certauto__error_advise(&err,
		"put this into the zone, once: %s. CNAME %s. If it is there and only this "
		"machine's resolver does not see it, set dns_resolver to one that does",
		record, alias);
	return certauto__fail_with(job, &err);
}

/* DNS names are compared without case, services compare as they like. */
static void lower(char *out, const char *name)
{
	for (; *name != '\0'; name++)
		*out++ = (char)(*name >= 'A' && *name <= 'Z' ? *name + ('a' - 'A') : *name);
	*out = '\0';
}

static certauto__verdict delegation_follow(certauto_job *job, const char *to, const char *alias)
{
	const char *record = certauto__fact(job, "record");
	int64_t hops = certauto__fact_number(job, ".dns.hops", 0) + 1;
	char name[CERTAUTO__DNS_NAME_MAX + 1];

	if (!certauto__dns_owner_valid(to))
		return certauto__fail(job, CERTAUTO_ECHALLENGE, record,
			"%s is a CNAME to a name that no record of a challenge can have", record);
	if (hops > HOPS_MAX)
		return certauto__fail(job, CERTAUTO_ECHALLENGE, record,
			"%s is a CNAME that leads on and on, or round in a circle: after %d steps "
			"it is at %s",
			record, HOPS_MAX, to);
	lower(name, to);
	certauto__fact_set(job, ".dns.at", name);
	certauto__fact_set_number(job, ".dns.hops", hops);
	if (alias != NULL && certauto__text_equal_nocase(name, alias))
		return record_is(job, alias);
	return certauto__again(job, 0);
}

certauto__verdict certauto__dns_delegation_read(certauto_job *job, certauto__exchange *x)
{
	const char *alias = certauto__option_text(certauto__job_env(job), "dns_alias");
	const struct certauto__dns_answer *answer;

	if (x->rc < 0)
		return certauto__fail_with(job, &x->error);
	answer = certauto__dns_answer(x->dns, 0);
	if (answer->rc < 0) {
		/* "seen" says so: it would have to wait for the same resolver again. */
		if (answer->rc == CERTAUTO_ETIMEDOUT)
			certauto__fact_set(job, ".dns.unheard", "1");
		return record_is(job, alias != NULL ? alias : reached(job));
	}
	if (answer->values.n > 0)
		return delegation_follow(job, answer->values.items[0], alias);
	if (alias != NULL && !certauto__text_equal_nocase(reached(job), alias))
		return alias_missed(job, alias);
	return record_is(job, reached(job));
}

/* ---- who is asked ---- */

static const char *nth(const certauto_job *job, const char *name, int i)
{
	return certauto__fact_nth(job, name, i);
}

static int count(const certauto_job *job, const char *name)
{
	int n = 0;

	while (nth(job, name, n) != NULL)
		n++;
	return n;
}

static certauto__verdict unchecked(certauto_job *job, const char *why)
{
	const char *record = certauto__fact(job, "record");

	certauto__warn(job, record,
		"whether the name servers show the TXT record %s cannot be checked: %s; the CA is "
		"told to look all the same",
		record, why);
	return CERTAUTO__NEXT;
}

static void server_add(certauto_job *job, const char *label, const char *address)
{
	int n = count(job, ".dns.address");

	if (n == SERVERS_MAX)
		return;
	certauto__fact_nth_set(job, ".dns.label", n, label);
	certauto__fact_nth_set(job, ".dns.address", n, address);
}

static void name_server_add(certauto_job *job, const char *text, const char *port)
{
	char address[CERTAUTO__ADDRESS];
	int n = count(job, ".dns.ns");

	if (n < NS_MAX && certauto__address_format(address, text, atoi(port)) == 0)
		certauto__fact_nth_set(job, ".dns.ns", n, address);
}

static void take_listed(certauto_job *job, const certauto_target *target)
{
	const certauto__list *check = certauto__option_list(target, "dns_check");
	size_t i;

	for (i = 0; i < check->n; i++)
		name_server_add(job, check->items[i], "53");
}

/* Upwards from the record, for a name that has name servers. A CNAME's answer has those of where it
 * leads: no zone begins there. */
static int zone_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *zone = certauto__fact_own(job, ".dns.zone");
	int rc;

	if (zone == NULL) {
		zone = certauto__fact(job, "record");
		certauto__fact_set(job, ".dns.zone", zone);
	}
	if ((rc = ask_resolver(target, x, zone, CERTAUTO__DNS_NS)) == 0)
		rc = ask_resolver(target, x, zone, CERTAUTO__DNS_CNAME);
	return rc;
}

static certauto__verdict zone_read(certauto_job *job, const certauto__dns *dns)
{
	const struct certauto__dns_answer *servers = certauto__dns_answer(dns, 0),
					  *cname = certauto__dns_answer(dns, 1);
	const char *zone = certauto__fact_own(job, ".dns.zone"),
		   *check = check_of(certauto__job_env(job)), *parent = strchr(zone, '.');
	size_t i;

	if (servers->rc == CERTAUTO_ETIMEDOUT)
		return unchecked(job, "the resolver does not answer");
	for (i = 0; cname->values.n == 0 && i < servers->values.n; i++) {
		/* No port behind it, nor what a terminal would take for its own. */
		if (certauto__dns_owner_valid(servers->values.items[i]))
			name_server_add(job, servers->values.items[i],
				check[0] == ':' ? check + 1 : "53");
	}
	if (nth(job, ".dns.ns", 0) == NULL) {
		if (parent == NULL)
			return unchecked(job,
				servers->rc == CERTAUTO_ENET ? "the resolver does not answer"
							     : "its zone is not found");
		/* The fact itself goes when it is set. */
		certauto__fact_printf(job, ".dns.zone", "%s", parent + 1);
	}
	return certauto__again(job, 0);
}

static int addresses_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	char name[CERTAUTO__ADDRESS];
	const char *server;
	int i, rc = 0;

	for (i = 0; rc == 0 && (server = nth(job, ".dns.ns", i)) != NULL; i++) {
		if (certauto__address_is_ip(server))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(strrchr(server, ':') - server), server);
		if ((rc = ask_resolver(target, x, name, CERTAUTO__DNS_A)) == 0)
			rc = ask_resolver(target, x, name, CERTAUTO__DNS_AAAA);
	}
	return rc;
}

/* Addresses of one family that nothing here leads to are those of a machine without it. */
static void take_addresses(certauto_job *job, const char *server,
	const struct certauto__dns_answer *answer)
{
	const char *port = strrchr(server, ':');
	char address[CERTAUTO__ADDRESS], label[CERTAUTO__ADDRESS];
	const char *ip;
	size_t i;

	snprintf(label, sizeof(label), "%.*s", (int)(port - server), server);
	for (i = 0; i < answer->values.n; i++) {
		ip = answer->values.items[i];
		snprintf(address, sizeof(address), strchr(ip, ':') != NULL ? "[%s]%s" : "%s%s", ip,
			port);
		if (certauto__dns_has_route(address))
			server_add(job, label, address);
	}
}

static certauto__verdict addresses_read(certauto_job *job, const certauto__dns *dns)
{
	const char *server;
	size_t asked = 0;
	int i;

	for (i = 0; (server = nth(job, ".dns.ns", i)) != NULL; i++) {
		if (certauto__address_is_ip(server)) {
			server_add(job, server, server);
			continue;
		}
		take_addresses(job, server, certauto__dns_answer(dns, asked));
		take_addresses(job, server, certauto__dns_answer(dns, asked + 1));
		asked += 2;
	}
	if (nth(job, ".dns.address", 0) == NULL)
		return unchecked(job, "its name servers have no address that leads anywhere");
	return certauto__again(job, 0);
}

/* ---- the look ---- */

static int is_shown(const certauto_job *job, int i, const char *how)
{
	return certauto__text_equal(nth(job, ".dns.shown", i), how);
}

static int is_any_shown(const certauto_job *job, const char *how)
{
	int i;

	for (i = 0; nth(job, ".dns.address", i) != NULL; i++) {
		if (is_shown(job, i, how))
			return 1;
	}
	return 0;
}

/* A value that is shown is asked for once more, over TCP: a CA does that when an answer is cut off,
 * and another machine may give it. Who says nothing does not hold that up. */
static int is_asked(const certauto_job *job, int i, int by_tcp)
{
	return by_tcp ? is_shown(job, i, "udp") : !is_shown(job, i, "tcp");
}

static int look_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__dns_question question = {
		.name = certauto__fact(job, "record"),
		.type = CERTAUTO__DNS_TXT,
		.authority = 1,
		.tcp = is_any_shown(job, "udp"),
	};
	int i, rc = 0;

	for (i = 0; rc == 0 && (question.servers = nth(job, ".dns.address", i)) != NULL; i++) {
		if (is_asked(job, i, question.tcp))
			rc = certauto__dns_ask(x->dns, &question, &x->error);
	}
	return rc;
}

static void server_name(certauto__buffer *out, const certauto_job *job, int i)
{
	const char *label = nth(job, ".dns.label", i), *address = nth(job, ".dns.address", i);

	certauto__buffer_text_add(out, label);
	if (!certauto__text_equal(label, address))
		certauto__buffer_printf(out, " (%s)", address);
}

/* The values of others are public; two of them show whether they are old ones of ours. */
static void server_said(certauto_job *job, int i, const struct certauto__dns_answer *answer)
{
	certauto__buffer said = CERTAUTO__BUFFER(4096);
	const certauto__list *values = &answer->values;
	size_t n, len;

	if (values->n == 0)
		certauto__buffer_text_add(&said, answer->why);
	for (n = 0; n < values->n && n < SHOWN_VALUES; n++) {
		len = strlen(values->items[n]);
		certauto__buffer_text_add(&said, n == 0 ? "only \"" : ", \"");
		certauto__text_escape(&said, values->items[n], len < SHOWN_LEN ? len : SHOWN_LEN);
		certauto__buffer_text_add(&said, "\"");
	}
	if (values->n > SHOWN_VALUES)
		certauto__buffer_printf(&said, " and %zu more", values->n - SHOWN_VALUES);
	certauto__fact_nth_set(job, ".dns.said", i, certauto__buffer_text(&said));
	certauto__buffer_free(&said);
}

static void warn_tcp(certauto_job *job, int i, const char *why)
{
	certauto__buffer name = CERTAUTO__BUFFER(1024);

	server_name(&name, job, i);
	certauto__warn(job, certauto__fact(job, "record"),
		"name server %s does not answer over TCP (%s): CAs ask so when an answer is long",
		certauto__buffer_text(&name), why);
	certauto__buffer_free(&name);
}

/* A server that does not call the zone its own knows nothing of it, unless somebody has named it
 * to be asked. */
static void server_read(certauto_job *job, int i, const struct certauto__dns_answer *answer)
{
	const char *txt = certauto__fact(job, "txt");
	int by_tcp = is_shown(job, i, "udp");

	if (answer->rc == 0 && certauto__list_has(&answer->values, txt)) {
		certauto__fact_nth_set(job, ".dns.shown", i, by_tcp ? "tcp" : "udp");
	} else if (answer->rc == 0 &&
		(answer->authoritative || is_listed(certauto__job_env(job)))) {
		certauto__fact_nth_set(job, ".dns.shown", i, NULL);
		server_said(job, i, answer);
	} else if (by_tcp) {
		warn_tcp(job, i, answer->why != NULL ? answer->why : "not authoritative");
		certauto__fact_nth_set(job, ".dns.shown", i, "tcp");
	} else {
		certauto__fact_nth_set(job, ".dns.silent", i,
			answer->rc == 0 ? "not authoritative" : answer->why);
	}
}

struct tally {
	int shown, checking, missing, silent;
};

static void tally_take(struct tally *out, const certauto_job *job)
{
	int i;

	memset(out, 0, sizeof(*out));
	for (i = 0; nth(job, ".dns.address", i) != NULL; i++) {
		if (is_shown(job, i, "tcp"))
			out->shown++;
		else if (is_shown(job, i, "udp"))
			out->checking++;
		else if (nth(job, ".dns.said", i) != NULL)
			out->missing++;
		else
			out->silent++;
	}
}

/* "ns1.example.org (192.0.2.1:53): NXDOMAIN; ..." of those that do not show it. */
static void tell_missing(certauto__buffer *out, const certauto_job *job)
{
	const char *said;
	int i;

	for (i = 0; nth(job, ".dns.address", i) != NULL; i++) {
		if (nth(job, ".dns.shown", i) != NULL)
			continue;
		said = nth(job, ".dns.said", i);
		certauto__buffer_text_add(out, out->len > 0 ? "; " : "");
		server_name(out, job, i);
		certauto__buffer_printf(
			out, ": %s", said != NULL ? said : nth(job, ".dns.silent", i));
	}
}

static certauto__verdict never_seen(certauto_job *job)
{
	const certauto_target *target = certauto__job_env(job);
	const char *record = certauto__fact(job, "record");
	certauto__buffer missing = CERTAUTO__BUFFER(16 * 1024);
	certauto_error err = {0};

	tell_missing(&missing, job);
	certauto__error_set(&err, CERTAUTO_ECHALLENGE, certauto__fact(job, "name"),
		"%s: %s. TXT \"%s\" is not shown by each name server: %s", target->label, record,
		certauto__fact(job, "txt"), certauto__buffer_text(&missing));
	certauto__error_advise(&err,
		"the CA asks these servers: see that the zone of %s is the one that target \"%s\" "
		"changes. If they only take longer, raise dns_wait_ms; if the CA sees others, name "
		"these in dns_check, or set it to no",
		record, target->label);
	certauto__buffer_free(&missing);
	return certauto__fail_with(job, &err);
}

/* All that answer show it. */
static certauto__verdict silent_ones(certauto_job *job, const struct tally *tally)
{
	certauto__buffer silent = CERTAUTO__BUFFER(16 * 1024);
	certauto__verdict verdict = CERTAUTO__NEXT;

	tell_missing(&silent, job);
	if (tally->shown == 0)
		verdict = unchecked(job, certauto__buffer_text(&silent));
	else
		certauto__warn(job, certauto__fact(job, "record"),
			"the TXT record %s is shown by all name servers but those that do not "
			"answer: %s",
			certauto__fact(job, "record"), certauto__buffer_text(&silent));
	certauto__buffer_free(&silent);
	return verdict;
}

static certauto__verdict look_again(certauto_job *job, const struct tally *tally)
{
	int64_t looks = certauto__fact_number(job, ".dns.looks", 0);
	int waits = tally->missing + tally->silent;

	/* In the answer to which it was shown nothing else may have come. */
	if (tally->checking > 0)
		return certauto__again(job, 0);
	if (certauto__fact_number(job, ".dns.waits", 0) != waits) {
		certauto__waiting(job, certauto__fact(job, "record"), 0,
			"%d of %d name servers do not show %s yet", waits, waits + tally->shown,
			certauto__fact(job, "record"));
		certauto__fact_set_number(job, ".dns.waits", waits);
	}
	certauto__fact_set_number(job, ".dns.looks", looks + 1);
	return certauto__again(job,
		looks < 5 ? (int64_t)LOOK_DELAY_MS << looks : LOOK_DELAY_MAX_MS);
}

static certauto__verdict look_read(certauto_job *job, const certauto__dns *dns)
{
	int64_t age = certauto__step_age_ms(job),
		wait = certauto__option_number(certauto__job_env(job), "dns_wait_ms");
	struct tally tally;
	int by_tcp = is_any_shown(job, "udp"), i;
	size_t asked = 0;

	for (i = 0; nth(job, ".dns.address", i) != NULL; i++) {
		if (is_asked(job, i, by_tcp))
			server_read(job, i, certauto__dns_answer(dns, asked++));
	}
	tally_take(&tally, job);
	if (tally.checking + tally.missing + tally.silent == 0)
		return CERTAUTO__NEXT;
	if (tally.checking + tally.missing == 0 && age >= (wait < SILENT_MS ? wait : SILENT_MS))
		return silent_ones(job, &tally);
	if (tally.missing > 0 && age >= wait)
		return never_seen(job);
	return look_again(job, &tally);
}

/* ---- seen ---- */

certauto__verdict certauto__dns_seen_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *unheard = certauto__fact_own(job, ".dns.unheard");
	certauto__verdict verdict;

	if (!is_dns(job) || !may_ask(target) || certauto__planning(job) ||
		certauto__fact(job, "txt") == NULL)
		return CERTAUTO__NEXT;
	if ((verdict = dns_begin(job, x)) != CERTAUTO__SEND)
		return verdict;
	if (is_listed(target) && nth(job, ".dns.ns", 0) == NULL)
		take_listed(job, target);
	if (nth(job, ".dns.address", 0) != NULL)
		return dns_send(job, x, look_ask(job, x));
	if (nth(job, ".dns.ns", 0) != NULL)
		return dns_send(job, x, addresses_ask(job, x));
	if (unheard != NULL)
		return unchecked(job, "the resolver does not answer");
	return dns_send(job, x, zone_ask(job, x));
}

certauto__verdict certauto__dns_seen_read(certauto_job *job, certauto__exchange *x)
{
	if (x->rc < 0)
		return certauto__fail_with(job, &x->error);
	if (nth(job, ".dns.address", 0) != NULL)
		return look_read(job, x->dns);
	if (nth(job, ".dns.ns", 0) != NULL)
		return addresses_read(job, x->dns);
	return zone_read(job, x->dns);
}
