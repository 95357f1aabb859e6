/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of certificate objects on a NetScaler: which intermediates it has already, under
 * whatever name, which are to be made, what is linked to what, and the way back of all that. An
 * intermediate that others have made is used and never removed. */

#include "targets/netscaler_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "crypto/pem.h"

#define DAY 86400
#define LOOKS 24 /* at one object that is taken back: more means that somebody works against us */

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static int is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* Serial numbers are written with or without leading zeros. */
static const char *serial_digits(const char *serial)
{
	if (certauto__text_starts(serial, "0x"))
		serial += 2;
	return serial + strspn(serial, "0");
}

int certauto__netscaler_is_serial(const char *a, const char *b)
{
	return is_set(a) && certauto__text_equal_nocase(serial_digits(a), serial_digits(b));
}

int certauto__netscaler_n_ca(const certauto__certs *chain)
{
	size_t n = certauto__certs_n(chain);
	const struct certauto__cert_info *last = certauto__certs_info(chain, n - 1);

	if (n > 1 && certauto__text_equal(last->subject, last->issuer))
		n--;
	return (int)n - 1;
}

static int n_ca(const certauto_job *job)
{
	return (int)certauto__fact_number(job, "n.ca", 0);
}

/* What node i is to be linked to; NULL: nothing. */
static const char *above(const certauto_job *job, int i)
{
	return i < n_ca(job) ? certauto__fact_nth(job, "node", i + 1) : NULL;
}

/* The link of an object that others have made, and have linked otherwise, is theirs. */
static int may_relink(const certauto_job *job, int i)
{
	return i == 0 || certauto__fact_nth(job, ".link", i) == NULL ||
		certauto__netscaler_is_own_ca(certauto__fact_nth(job, "node", i),
			deployment_of(job)->target);
}

static int is_linked_right(const certauto_job *job, int i)
{
	const char *link = certauto__fact_nth(job, ".link", i), *to = above(job, i);

	/* Where our chain ends, a CA may be linked to a root. */
	return certauto__text_equal(link, to) || (to == NULL && i > 0) || !may_relink(job, i);
}

/* ---- observe ---- */

enum { ROW_NAME, ROW_CERT, ROW_KEY, ROW_LINK, ROW_SERIAL, ROW_SUBJECT, ROW_ISSUER, ROW_INFORM,
	ROW_DAYS, ROW_STATUS };

static const char *const row_fields[] = {"certkey", "cert", "key", "linkcertkeyname", "serial",
	"subject", "issuer", "inform", "daystoexpiration", "status", NULL};

struct observation {
	certauto_job *job;
	certauto__list cas;   /* CA objects of ours */
	certauto__list links; /* name, what it is linked to, name, ... */
};

static int text_holds(const char *text, const char *part)
{
	return part == NULL || (text != NULL && strstr(text, part) != NULL);
}

/* To two days: the device counts whole ones, by its own clock. */
static int ends_alike(const char *days, int64_t not_after)
{
	int64_t n, left = (not_after - certauto__clock_now()) / DAY;

	return certauto__number_parse(days, -100000, 100000, &n) < 0 ||
		(n - left <= 2 && left - n <= 2) || (n <= 0 && left <= 0);
}

/* How surely the row of a list is that CA certificate; text, to be kept as a fact. */
#define SURE_NOT ""
#define SURE_SERIAL "1"
#define SURE_ALIKE "2"
#define SURE_OWN "3"

/* One of ours has its own certificate's digest in its name, and no other is it. What the others are
 * by the device's own reading differs between releases: after it has said that it has this
 * certificate already, the serial number is enough. A private CA may have given it twice. */
static const char *sure_of(const certauto_job *job, const char *const *row, int i)
{
	const certauto_target *target = deployment_of(job)->target;
	const struct certauto__cert_info *ca =
		certauto__certs_info(deployment_of(job)->chain, (size_t)i);
	char own[CERTAUTO__NS_NAME];

	certauto__netscaler_ca(own, target, ca);
	if (strcmp(own, row[ROW_NAME]) == 0)
		return SURE_OWN;
	if (certauto__netscaler_is_own_ca(row[ROW_NAME], target) || is_set(row[ROW_KEY]) ||
		certauto__text_equal(certauto__fact_nth(job, ".not", i), row[ROW_NAME]) ||
		!certauto__netscaler_is_serial(row[ROW_SERIAL], ca->serial))
		return SURE_NOT;
	if (text_holds(row[ROW_SUBJECT], ca->subject_cn) &&
		text_holds(row[ROW_ISSUER], ca->issuer_cn) &&
		ends_alike(row[ROW_DAYS], ca->not_after))
		return SURE_ALIKE;
	return certauto__fact_is(job, ".loose", "yes") ? SURE_SERIAL : SURE_NOT;
}

static void observe_node(certauto_job *job, int i, const char *const *row, const char *sure)
{
	certauto__fact_nth_set(job, "node", i, row[ROW_NAME]);
	certauto__fact_nth_set(job, ".have", i, sure);
	certauto__fact_nth_set(job, ".link", i,
		is_set(row[ROW_LINK]) ? row[ROW_LINK] : NULL);
}

static void observe_leaf(certauto_job *job, const char *const *row)
{
	const char *cert = row[ROW_CERT] != NULL ? row[ROW_CERT] : "",
		   *key = row[ROW_KEY] != NULL ? row[ROW_KEY] : "";
	int64_t days;

	observe_node(job, 0, row, SURE_OWN);
	certauto__fact_set(job, ".cert", certauto__netscaler_base(cert));
	certauto__fact_set(job, ".key", certauto__netscaler_base(key));
	certauto__fact_set(job, ".serial", row[ROW_SERIAL]);
	if (certauto__fact_own(job, "switch") != NULL)
		return;
	certauto__fact_set(job, "old.cert", cert);
	certauto__fact_set(job, "old.key", key);
	certauto__fact_set(job, "old.inform", row[ROW_INFORM]);
	certauto__fact_set(job, "forward", NULL);
	if (certauto__text_equal(row[ROW_STATUS], "Expired") ||
		(row[ROW_DAYS] != NULL &&
			certauto__number_parse(row[ROW_DAYS], -100000, 0, &days) == 0))
		certauto__fact_set(job, "forward", "has expired or is about to");
}

static int observe_row(void *arg, const char *const *row)
{
	struct observation *o = arg;
	const struct certauto__deployment *deployment = deployment_of(o->job);
	const char *name = row[ROW_NAME], *sure, *have;
	int i, rc = 0;

	if (name == NULL)
		return 0;
	if (certauto__fact_is(o->job, "certkey", name))
		observe_leaf(o->job, row);
	for (i = 1; i <= n_ca(o->job); i++) {
		sure = sure_of(o->job, row, i);
		have = certauto__fact_nth(o->job, ".have", i);
		if (strcmp(sure, have != NULL ? have : SURE_NOT) > 0)
			observe_node(o->job, i, row, sure);
	}
	if (certauto__netscaler_is_own_ca(name, deployment->target) && !is_set(row[ROW_KEY]))
		rc = certauto__list_add_text(&o->cas, name);
	if (rc == 0 && is_set(row[ROW_LINK]) &&
		(rc = certauto__list_add_text(&o->links, name)) == 0)
		rc = certauto__list_add_text(&o->links, row[ROW_LINK]);
	return rc;
}

/* What was there is noted once: a run that goes on where another was killed sees its changes. */
static void note_node(certauto_job *job, int i)
{
	const char *name = certauto__fact_nth(job, "node", i),
		   *link = certauto__fact_nth(job, ".link", i);

	if (certauto__fact_own(job, "switch") != NULL &&
		certauto__text_equal(certauto__fact_nth(job, "seen", i), name))
		return;
	certauto__fact_nth_set(job, "seen", i, name);
	certauto__fact_nth_set(job, "was", i, link != NULL ? link : "");
	certauto__fact_nth_set(job, "old", i,
		certauto__fact_nth(job, ".have", i) != NULL ? "present" : "absent");
}

/* An intermediate that is not there is made. */
static void make_node(certauto_job *job, int i)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	char own[CERTAUTO__NS_NAME];

	if (certauto__fact_nth(job, ".have", i) != NULL)
		return;
	certauto__netscaler_ca(own, deployment->target,
		certauto__certs_info(deployment->chain, (size_t)i));
	certauto__fact_nth_set(job, "node", i, own);
	certauto__fact_nth_set(job, "make", i, own);
}

/* ---- CA objects nobody needs any more ---- */

static int is_node(const certauto_job *job, const char *name)
{
	int i;

	for (i = 0; i <= n_ca(job); i++) {
		if (certauto__text_equal(certauto__fact_nth(job, "node", i), name))
			return i + 1;
	}
	return 0;
}

/* 1: something will still be linked to it when all is done. */
static int is_needed(const struct observation *o, const char *ca, const certauto__list *orphans)
{
	const certauto__list *links = &o->links;
	char entry[CERTAUTO__NS_NAME + 8];
	size_t i;
	int at;

	for (i = 0; i + 1 < links->n; i += 2) {
		if (strcmp(links->items[i + 1], ca) != 0)
			continue;
		snprintf(entry, sizeof(entry), "ca:%s", links->items[i]);
		at = is_node(o->job, links->items[i]);
		if (!certauto__list_has(orphans, entry) &&
			(at == 0 || is_linked_right(o->job, at - 1)))
			return 1;
	}
	return is_node(o->job, ca);
}

/* Found in an order in which they can be removed: what was linked to one goes before it. */
static int find_orphans(const struct observation *o, certauto__list *orphans)
{
	char entry[CERTAUTO__NS_NAME + 8];
	size_t i, before;
	int rc = 0;

	do {
		before = orphans->n;
		for (i = 0; i < o->cas.n && rc == 0; i++) {
			snprintf(entry, sizeof(entry), "ca:%s", o->cas.items[i]);
			if (!certauto__list_has(orphans, entry) &&
				!is_needed(o, o->cas.items[i], orphans))
				rc = certauto__list_add_text(orphans, entry);
		}
	} while (rc == 0 && orphans->n > before);
	return rc;
}

int certauto__netscaler_chain_observe(certauto_job *job, const certauto__exchange *x,
	certauto_error *err)
{
	struct observation o = {.job = job};
	certauto__list *orphans = &deployment_of(job)->superseded;
	int i, rc;

	for (i = 0; i <= n_ca(job); i++) {
		certauto__fact_nth_set(job, ".have", i, NULL);
		certauto__fact_nth_set(job, ".link", i, NULL);
	}
	certauto__list_free(orphans);
	rc = certauto__netscaler_rows(x, "sslcertkey", row_fields, observe_row, &o, err);
	for (i = 0; rc == 0 && i <= n_ca(job); i++) {
		if (i > 0)
			make_node(job, i);
		note_node(job, i);
	}
	if (rc == 0 && (rc = find_orphans(&o, orphans)) < 0)
		certauto__error_nomem(err);
	certauto__list_free(&o.cas);
	certauto__list_free(&o.links);
	return rc;
}

/* ---- making ---- */

void certauto__netscaler_certkey_begin(certauto__json *w, certauto__exchange *x,
	const certauto_target *target, const char *action, const char *name)
{
	certauto__netscaler_post(w, x, target, "sslcertkey", action);
	certauto__json_put_text(w, "certkey", name);
}

void certauto__netscaler_put_passphrase(certauto__json *w, const certauto__buffer *passphrase)
{
	if (passphrase->len == 0)
		return;
	certauto__json_put_bool(w, "password", 1);
	certauto__json_put_text(w, "passplain", passphrase->data);
}

void certauto__netscaler_put_file(certauto__json *w, const certauto_target *target,
	const char *member, const char *file)
{
	char path[256 + CERTAUTO__NS_FILE] = "";

	/* The device looks in the partition's own folder by itself. */
	if (certauto__option_is_set(target, "folder"))
		certauto__netscaler_folder(path, target);
	snprintf(path + strlen(path), CERTAUTO__NS_FILE, "%s", file);
	certauto__json_put_text(w, member, path);
}

int certauto__netscaler_ca_each(certauto_job *job)
{
	return n_ca(job);
}

certauto__verdict certauto__netscaler_ca_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = deployment_of(job)->target;
	int i = certauto__index(job) + 1;
	const char *name = certauto__fact_nth(job, "make", i);
	char file[CERTAUTO__NS_NAME + 8];
	certauto__json w;

	if (certauto__fact_nth(job, ".have", i) != NULL)
		return CERTAUTO__NEXT;
	certauto__netscaler_touch(job, 1);
	snprintf(file, sizeof(file), "%s.crt", name);
	certauto__netscaler_certkey_begin(&w, x, target, NULL, name);
	certauto__netscaler_put_file(&w, target, "cert", file);
	return certauto__netscaler_end(&w);
}

/* "Exists" may mean that the answer to an earlier attempt was lost, or that the device has the
 * certificate under another name: in both cases the list shows it. */
certauto__verdict certauto__netscaler_ca_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job) + 1;

	if (certauto__netscaler_code(x) == CERTAUTO__NS_EXISTS &&
		!certauto__fact_is(job, ".loose", "yes")) {
		certauto__fact_set(job, ".loose", "yes");
		return certauto__goto(job, "observe");
	}
	if (certauto__netscaler_is_no(x))
		return certauto__netscaler_refuse(job, x, certauto__fact_nth(job, "make", i),
			"adding the CA certificate");
	return CERTAUTO__NEXT;
}

/* ---- links ---- */

int certauto__netscaler_link_each(certauto_job *job)
{
	return n_ca(job) + 1;
}

static certauto__verdict link_send(certauto_job *job, certauto__exchange *x, const char *name,
	const char *to)
{
	certauto__json w;

	certauto__netscaler_certkey_begin(&w, x, deployment_of(job)->target,
		to != NULL ? "link" : "unlink", name);
	if (to != NULL)
		certauto__json_put_text(&w, "linkcertkeyname", to);
	return certauto__netscaler_end(&w);
}

int certauto__netscaler_link_due(const certauto_job *job)
{
	int i;

	for (i = 0; i <= n_ca(job); i++) {
		if (!is_linked_right(job, i))
			return 1;
	}
	return 0;
}

certauto__verdict certauto__netscaler_unlink_ask(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (certauto__fact_nth(job, ".link", i) == NULL || is_linked_right(job, i))
		return CERTAUTO__NEXT;
	certauto__netscaler_touch(job, 1);
	return link_send(job, x, certauto__fact_nth(job, "node", i), NULL);
}

certauto__verdict certauto__netscaler_unlink_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (certauto__netscaler_is_no(x) &&
		certauto__netscaler_code(x) != CERTAUTO__NS_NO_LINK)
		return certauto__netscaler_refuse(job, x, certauto__fact_nth(job, "node", i),
			"unlinking the certkey");
	certauto__fact_nth_set(job, ".link", i, NULL);
	return CERTAUTO__NEXT;
}

certauto__verdict certauto__netscaler_link_ask(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (is_linked_right(job, i))
		return CERTAUTO__NEXT;
	certauto__netscaler_touch(job, 1);
	return link_send(job, x, certauto__fact_nth(job, "node", i), above(job, i));
}

/* The links of the intermediates, before anything is changed that is served: index 0 is the
 * leaf. */
certauto__verdict certauto__netscaler_chain_unlink_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__index(job) == 0 ? CERTAUTO__NEXT : certauto__netscaler_unlink_ask(job, x);
}

certauto__verdict certauto__netscaler_chain_link_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__index(job) == 0 ? CERTAUTO__NEXT : certauto__netscaler_link_ask(job, x);
}

/* 1: what was taken for the node above, because all that the device tells of it fits, is the
 * certificate of another key. */
static int is_mistaken(const certauto_job *job, const certauto__exchange *x, const char *name)
{
	return certauto__netscaler_code(x) == CERTAUTO__NS_OTHER_ISSUER &&
		!certauto__netscaler_is_own_ca(name, deployment_of(job)->target);
}

/* It had no link a moment ago: what it has now is from an attempt whose answer was lost, and the
 * read-back tells where it goes to. */
certauto__verdict certauto__netscaler_link_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);

	if (is_mistaken(job, x, above(job, i))) {
		certauto__fact_nth_set(job, ".not", i + 1, above(job, i));
		return certauto__goto(job, "observe");
	}
	if (certauto__netscaler_is_no(x) && certauto__netscaler_code(x) != CERTAUTO__NS_EXISTS)
		return certauto__netscaler_refuse(job, x, certauto__fact_nth(job, "node", i),
			"linking the certkey");
	certauto__fact_nth_set(job, ".link", i, above(job, i));
	return CERTAUTO__NEXT;
}

/* ---- the way back of an object ---- */

static int look_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;

	certauto__fact_set(job, ".look", "yes");
	certauto__fact_set(job, ".look.cert",
		certauto__netscaler_base(row[ROW_CERT] != NULL ? row[ROW_CERT] : ""));
	certauto__fact_set(job, ".look.key",
		certauto__netscaler_base(row[ROW_KEY] != NULL ? row[ROW_KEY] : ""));
	certauto__fact_set(job, ".look.link", is_set(row[ROW_LINK]) ? row[ROW_LINK] : NULL);
	certauto__fact_set(job, ".look.serial", row[ROW_SERIAL]);
	return 0;
}

int certauto__netscaler_look(certauto_job *job, const certauto__exchange *x, certauto_error *err)
{
	int code = certauto__netscaler_code(x);

	certauto__fact_set(job, ".look", NULL);
	if (code == CERTAUTO__NS_NO_CERTKEY || code == CERTAUTO__NS_NO_RESOURCE ||
		(x->rc == 0 && x->status == 404))
		return 0;
	return certauto__netscaler_rows(x, "sslcertkey", row_fields, look_row, job, err);
}

/* The digest of an encrypted key begins with a mark: see key_digest(). */
static int was_encrypted(const certauto_job *job)
{
	const char *certkey = certauto__fact_own(job, "certkey"),
		   *cert = certauto__netscaler_base(certauto__fact_own(job, "old.cert")),
		   *key = certauto__netscaler_base(certauto__fact_own(job, "old.key"));

	if (cert == NULL || key == NULL || !certauto__netscaler_is_own_file(cert, certkey) ||
		!certauto__netscaler_is_own_file(key, certkey))
		return 0;
	cert += strlen(cert) - 16; /* behind what is in front of the digests */
	key += strlen(key) - 16;
	return strncmp(key, cert, 12) != 0 && key[0] == 'e' && strncmp(key + 1, cert, 11) == 0;
}

/* Its passphrase follows from the key. */
static int has_former_key(const certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	char file[CERTAUTO__NS_FILE];

	if (deployment->former_key == NULL)
		return 0;
	certauto__netscaler_file(
		file, certauto__fact_own(job, "certkey"), deployment->former, "crt");
	return certauto__text_equal(
		certauto__netscaler_base(certauto__fact_own(job, "old.cert")), file);
}

/* Why there is no way back; NULL: there is one. */
static const char *why_forward(const certauto_job *job)
{
	if (was_encrypted(job) && !has_former_key(job))
		return "has an encrypted key, whose passphrase nobody has kept";
	return certauto__fact_own(job, "forward");
}

/* What is next on the way from what is there to what is not: only what is ours is removed. */
static const char *remove_next(const certauto_job *job, const char *file)
{
	if (certauto__fact_own(job, ".look") == NULL ||
		!certauto__fact_is(job, ".look.cert", file))
		return NULL;
	return certauto__fact_own(job, ".look.link") != NULL ? "unlink" : "delete";
}

static const char *relink_next(const certauto_job *job, const char *was)
{
	const char *link = certauto__fact_own(job, ".look.link");

	if (certauto__text_equal(link, is_set(was) ? was : NULL))
		return NULL;
	return link != NULL ? "unlink" : "link";
}

static const char *leaf_next(const certauto_job *job)
{
	const char *was = certauto__fact_own(job, "was.0"), *next;

	if (certauto__fact_own(job, ".look") == NULL)
		return NULL;
	if (certauto__fact_own(job, ".stuck") != NULL) {
		next = relink_next(job, above(job, 0));
		return next != NULL ? next : "stuck";
	}
	if (certauto__fact_is(job, "old.0", "absent"))
		return remove_next(job, certauto__fact_own(job, "crt"));
	if (certauto__fact_is(job, ".look.cert",
		    certauto__netscaler_base(certauto__fact_own(job, "old.cert"))) &&
		certauto__fact_is(job, ".look.key",
			certauto__netscaler_base(certauto__fact_own(job, "old.key"))))
		return relink_next(job, was);
	if (why_forward(job) != NULL)
		return "forward";
	return relink_next(job, was) != NULL && certauto__fact_own(job, ".look.link") != NULL
		? "unlink" : "update";
}

/* Of an intermediate the link alone was changed; one that we have made loses it, so that what it
 * is linked to can be removed first. */
static const char *node_next(const certauto_job *job, int i)
{
	if (i == 0)
		return leaf_next(job);
	if (certauto__fact_own(job, ".look") == NULL)
		return NULL;
	return relink_next(job, certauto__fact_nth(job, "was", i));
}

static certauto__verdict restore_files(certauto_job *job, certauto__exchange *x, const char *name)
{
	const char *inform = certauto__fact_own(job, "old.inform"),
		   *key = certauto__fact_own(job, "old.key");
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__DER_MAX * 2),
			 passphrase = CERTAUTO__BUFFER(256);
	certauto__verdict verdict = CERTAUTO__FAILED;
	certauto__json w;

	if (was_encrypted(job) &&
		certauto__pkey_format_encrypted(&pem, &passphrase, deployment_of(job)->former_key,
			certauto__job_error_of(job)) < 0)
		goto out;
	certauto__netscaler_certkey_begin(&w, x, deployment_of(job)->target, "update", name);
	x->body.secret = 1;
	certauto__json_put_text(&w, "cert", certauto__fact_own(job, "old.cert"));
	if (is_set(key))
		certauto__json_put_text(&w, "key", key);
	if (is_set(inform) && strcmp(inform, "PEM") != 0)
		certauto__json_put_text(&w, "inform", inform);
	certauto__netscaler_put_passphrase(&w, &passphrase);
	certauto__json_put_bool(&w, "nodomaincheck", 1);
	verdict = certauto__netscaler_end(&w);
out:
	certauto__buffer_free(&pem);
	certauto__buffer_free(&passphrase);
	return verdict;
}

/* As long as the leaf's certkey is not as it was, nothing is removed that it may need. */
certauto__verdict certauto__netscaler_stuck(certauto_job *job)
{
	const char *why = certauto__fact_own(job, ".stuck");

	if (why == NULL)
		return CERTAUTO__NEXT;
	return certauto__fail(job, CERTAUTO_EROLLBACK, certauto__fact_own(job, "certkey"), "%s",
		why);
}

/* Every other time it looks; the other times it does what it has found then. */
static certauto__verdict node_undo(certauto_job *job, certauto__exchange *x, const char *name,
	const char *was)
{
	const certauto_target *target = deployment_of(job)->target;

	if (name == NULL || certauto__fact_own(job, "stays") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__step_attempts(job) == 1 &&
		certauto__netscaler_stuck(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (certauto__step_attempts(job) % 2 == 1)
		return certauto__netscaler_get(x, target, "sslcertkey", name, NULL);
	if (certauto__fact_is(job, ".next", "unlink"))
		return link_send(job, x, name, NULL);
	if (certauto__fact_is(job, ".next", "link"))
		return link_send(job, x, name, was);
	if (certauto__fact_is(job, ".next", "update"))
		return restore_files(job, x, name);
	return certauto__netscaler_delete(x, target, "sslcertkey", name, NULL);
}

/* There is no good way back: what is served is left as it is. For a run that brings another
 * generation, and has no certificate to compare with, that is how it finds things. */
static certauto__verdict stay_forward(certauto_job *job, certauto__exchange *x)
{
	const char *name = certauto__fact_own(job, "certkey");

	certauto__fact_set(job, "stays", "yes");
	if (deployment_of(job)->chain == NULL)
		return CERTAUTO__NEXT;
	certauto__error_clear(&x->error);
	certauto__error_set(&x->error, CERTAUTO_EROLLBACK, name,
		"the device keeps the new certificate in %s: the old one %s", name,
		why_forward(job));
	return CERTAUTO__FAILED;
}

static certauto__verdict undo_again(certauto_job *job, certauto__exchange *x, const char *next)
{
	if (next == NULL)
		return CERTAUTO__NEXT;
	if (strcmp(next, "forward") == 0)
		return stay_forward(job, x);
	if (strcmp(next, "stuck") == 0)
		return certauto__netscaler_stuck(job);
	if (certauto__step_attempts(job) > LOOKS)
		return CERTAUTO__FAILED;
	certauto__fact_set(job, ".next", next);
	return certauto__again(job, 0);
}

/* After a look; -1: it was none. */
static int undo_looked(certauto_job *job, certauto__exchange *x)
{
	if (x->rc < 0)
		return -1;
	if (certauto__netscaler_look(job, x, &x->error) < 0)
		return -1;
	return certauto__fact_own(job, ".look") == NULL && certauto__netscaler_is_no(x) &&
			x->status != 404 && certauto__netscaler_code(x) != CERTAUTO__NS_NO_CERTKEY
		? -1 : 0;
}

static certauto__verdict node_undo_read(certauto_job *job, certauto__exchange *x, int i)
{
	if (certauto__step_attempts(job) % 2 == 1)
		return undo_looked(job, x) < 0 ? CERTAUTO__FAILED
					       : undo_again(job, x, node_next(job, i));
	if (certauto__netscaler_gone(job, x) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	return certauto__again(job, 0);
}

certauto__verdict certauto__netscaler_link_undo(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job), is_stuck = certauto__fact_own(job, ".stuck") != NULL;

	return node_undo(job, x, certauto__fact_nth(job, "node", i),
		is_stuck ? above(job, i) : certauto__fact_nth(job, "was", i));
}

/* When the leaf's fails. After a definite no, to its old files or to its removal, it is to be whole
 * as it is: it may have lost its link on the way. */
static certauto__verdict leaf_stuck(certauto_job *job, const certauto__exchange *x)
{
	const char *why = certauto_error_message(certauto__job_error_of(job));
	int is_refused = x->rc == 0 && certauto__step_attempts(job) % 2 == 0 &&
		certauto__fact_own(job, ".stuck") == NULL;

	if (why == NULL)
		why = certauto_error_message(&x->error);
	certauto__fact_set(job, ".stuck", why != NULL ? why : "it cannot be told how it is");
	return is_refused ? certauto__again(job, 0) : CERTAUTO__FAILED;
}

certauto__verdict certauto__netscaler_link_undo_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job);
	certauto__verdict verdict = node_undo_read(job, x, i);

	if (verdict != CERTAUTO__FAILED || i > 0 || certauto__fact_own(job, "stays") != NULL)
		return verdict;
	return leaf_stuck(job, x);
}

/* ---- the way back of a CA object that was made ---- */

certauto__verdict certauto__netscaler_ca_undo(certauto_job *job, certauto__exchange *x)
{
	return node_undo(job, x, certauto__fact_nth(job, "make", certauto__index(job) + 1),
		NULL);
}

/* Others may have come to use it in the meantime: then it stays, and its file with it. */
certauto__verdict certauto__netscaler_ca_undo_read(certauto_job *job, certauto__exchange *x)
{
	int i = certauto__index(job) + 1;
	char file[CERTAUTO__NS_NAME + 8];

	if (certauto__step_attempts(job) % 2 == 0) {
		if (certauto__netscaler_code(x) != CERTAUTO__NS_REFERENCED)
			return certauto__netscaler_gone(job, x) != CERTAUTO__NEXT
				? CERTAUTO__FAILED : certauto__again(job, 0);
		certauto__fact_nth_set(job, "kept", i, "yes");
		return CERTAUTO__NEXT;
	}
	snprintf(file, sizeof(file), "%s.crt", certauto__fact_nth(job, "make", i));
	if (undo_looked(job, x) < 0)
		return CERTAUTO__FAILED;
	return undo_again(job, x, remove_next(job, file));
}
