/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that would make a manager refuse the certificate, or clients refuse the manager,
 * looked for before anything is changed. */

#include "targets/nsx_deploy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "crypto/pem.h"

#define ROOTS_MAX ((size_t)1 << 20) /* bytes of the option root_file */
#define ROOTS 500
#define CHAIN_MAX ((size_t)256 << 10)

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

/* ---- the root ---- */

static int is_root(const struct certauto__cert_info *cert)
{
	return strcmp(cert->issuer, cert->subject) == 0 &&
		(cert->aki == NULL || certauto__text_equal(cert->aki, cert->ski));
}

static int is_issuer(const struct certauto__cert_info *ca, const struct certauto__cert_info *cert)
{
	return strcmp(ca->subject, cert->issuer) == 0 &&
		(cert->aki == NULL || ca->ski == NULL || strcmp(cert->aki, ca->ski) == 0);
}

static int file_read(certauto__buffer *out, const char *path)
{
	FILE *file = fopen(path, "re");
	char part[4096];
	size_t n;
	int rc = 0, saved_errno;

	if (file == NULL)
		return CERTAUTO_ECONFIG;
	errno = 0;
	while (rc == 0 && (n = fread(part, 1, sizeof(part), file)) > 0)
		rc = certauto__buffer_add(out, part, n);
	saved_errno = errno;
	if (rc == 0 && ferror(file))
		rc = CERTAUTO_ECONFIG;
	(void)fclose(file);
	errno = saved_errno;
	return rc;
}

/* The certificates in the file that an option names. */
static int file_certs(certauto__certs **out, const certauto_target *target, const char *option,
	certauto_error *err)
{
	const char *path = certauto__option_text(target, option);
	certauto__buffer text = CERTAUTO__BUFFER(ROOTS_MAX);
	int rc = file_read(&text, path), saved_errno = errno;
	const char *why = strerrordesc_np(saved_errno);

	if (rc == CERTAUTO_ENOMEM)
		certauto__error_nomem(err);
	else if (rc < 0)
		rc = certauto__error_set(err, CERTAUTO_ECONFIG, path,
			"%s: %s %s cannot be read: %s", target->label, option, path,
			rc != CERTAUTO_ECONFIG ? "it is too long"
			: why != NULL ? why : "unknown error");
	else if ((rc = certauto__certs_parse(out, certauto__buffer_text(&text), text.len, ROOTS,
			  err)) < 0)
		certauto__error_prefix(err, "%s: %s %s", target->label, option, path);
	certauto__buffer_free(&text);
	return rc;
}

int certauto__nsx_check_root(const certauto_target *target, certauto_error *err)
{
	certauto__certs *roots = NULL;
	int rc = 0;

	if (certauto__option_text(target, "root_file") != NULL)
		rc = file_certs(&roots, target, "root_file", err);
	certauto__certs_free(roots);
	if (rc < 0 && rc != CERTAUTO_ENOMEM)
		certauto__error_advise(err,
			"name a file with the root's certificate (PEM), or leave root_file out if "
			"the managers have it");
	return rc;
}

static int root_none(const struct certauto__cert_info *last, const certauto_target *target,
	certauto_error *err)
{
	certauto__error_set(err, CERTAUTO_ECERT, NULL,
		"the chain is not complete: its root, the issuer %s of the last certificate, is "
		"missing, and the managers do not have it",
		last->issuer);
	certauto__device_sign(err, target);
	return certauto__error_advise(err,
		"name a file with the root's certificate (PEM) as option root_file, or import it "
		"as a CA certificate on the managers");
}

/* The root in a file of one or many. */
static int root_file(certauto__buffer *out, const struct certauto__cert_info *last,
	const certauto_target *target, certauto_error *err)
{
	const struct certauto__cert_info *ca;
	certauto__certs *roots = NULL;
	size_t i;
	int rc;

	if (certauto__option_text(target, "root_file") == NULL)
		return root_none(last, target, err);
	if ((rc = file_certs(&roots, target, "root_file", err)) < 0)
		return rc;
	for (i = 0; (ca = certauto__certs_info(roots, i)) != NULL; i++) {
		if (is_root(ca) && is_issuer(ca, last))
			break;
	}
	rc = ca != NULL ? certauto__pem_add(out, "CERTIFICATE", ca->der, ca->der_len)
			: root_none(last, target, err);
	certauto__certs_free(roots);
	return rc;
}

int certauto__nsx_chain(certauto__buffer *out, const certauto_job *job, certauto_error *err)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	size_t n = certauto__certs_n(deployment->chain);
	const struct certauto__cert_info *last = certauto__certs_info(deployment->chain, n - 1);
	const char *root = certauto__fact_own(job, ".root");
	int rc = certauto__certs_format(out, deployment->chain, CERTAUTO__PART_FULL);

	if (rc == 0 && !is_root(last))
		rc = root != NULL ? certauto__buffer_text_add(out, root)
				  : root_file(out, last, deployment->target, err);
	if (out->rc < 0)
		rc = certauto__error_nomem(err);
	return rc;
}

/* ---- names ---- */

/* The subject's common name counts too: that is how managers see it. */
static int is_for(const struct certauto__cert_info *leaf, const char *name)
{
	char normal[CERTAUTO__NAME_SIZE];
	const char *why;
	size_t i;

	if (name[0] == '\0' || certauto__name_normal(normal, name, &why) < 0)
		return 0;
	for (i = 0; i < leaf->names->n; i++) {
		if (strcmp(leaf->names->items[i], normal) == 0 ||
			certauto__name_match(leaf->names->items[i], normal))
			return 1;
	}
	return certauto__text_equal_nocase(leaf->subject_cn, normal);
}

static int has_dns_name(const struct certauto__cert_info *leaf)
{
	size_t i;

	for (i = 0; i < leaf->names->n; i++) {
		if (!certauto__ip_check(leaf->names->items[i]))
			return 1;
	}
	return leaf->subject_cn != NULL && strchr(leaf->subject_cn, '.') != NULL;
}

/* Where no FQDN is known, one of the names may be it: then the managers are to say so. */
static certauto__verdict check_names(certauto_job *job, int i)
{
	const struct certauto__cert_info *leaf = certauto__nsx_leaf(job);
	const char *names = certauto__fact_nth(job, ".names", i);
	char ip[CERTAUTO__NSX_NAME] = "", fqdn[CERTAUTO__NSX_NAME] = "";

	if (certauto__fact_nth(job, ".due", i) == NULL)
		return CERTAUTO__NEXT;
	certauto__nsx_value(ip, sizeof(ip), names, 0);
	certauto__nsx_value(fqdn, sizeof(fqdn), names, 1);
	if (is_for(leaf, ip) || is_for(leaf, fqdn) || (fqdn[0] == '\0' && has_dns_name(leaf)))
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_ECERT, certauto__fact_nth(job, "label", i),
		"add that name or address to the certificate's names; or choose by the options "
		"service and nodes what is to serve it",
		"the certificate is not for %s, whose names are %s%s%s",
		certauto__fact_nth(job, "label", i), ip, fqdn[0] != '\0' ? " and " : "", fqdn);
}

/* ---- the rest ---- */

/* Of the managers: one that is behind takes a new certificate for one of the future. */
static certauto__verdict check_clock(certauto_job *job)
{
	const struct certauto__cert_info *leaf = certauto__nsx_leaf(job);
	int64_t date = certauto__fact_number(job, ".date", -1);
	char clock[32], begin[32], end[32];

	if (date < 0 || (date >= leaf->not_before && date < leaf->not_after))
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_ECERT, NULL,
		"set the managers' clocks, by NTP; or, if they are right, this machine's",
		"by the managers' clock it is %s, and the certificate is valid from %s to %s",
		certauto__clock_format(clock, sizeof(clock), date),
		certauto__clock_format(begin, sizeof(begin), leaf->not_before),
		certauto__clock_format(end, sizeof(end), leaf->not_after));
}

certauto__verdict certauto__nsx_check_keys(certauto_job *job, const char *what)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	if (deployment->n_keys <= 1)
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_EUNSUPPORTED, deployment->name,
		"have the certificate made with one type of key",
		"%s one certificate, and \"%s\" has several, by its keys: each would take the "
		"place of the other", what, deployment->name);
}

static certauto__verdict check_key(certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	const char *type = certauto__nsx_leaf(job)->key_type;

	if (strcmp(type, "other") == 0)
		return certauto__nsx_stop(job, CERTAUTO_EUNSUPPORTED, deployment->name,
			"have it made with an RSA key of 2048, 3072 or 4096 bits, or an ECDSA key "
			"of P-256 or P-384",
			"managers do not take a certificate with a key of that type");
	if (deployment->key == NULL || certauto__fact_own(job, "id") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__pkey_is_signer(deployment->key))
		return certauto__nsx_stop(job, CERTAUTO_EUNSUPPORTED, deployment->name,
			"let certauto or the managers make the key",
			"the private key of \"%s\" is kept elsewhere", deployment->name);
	return certauto__target_may_take_key(
		       deployment->target, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static certauto__verdict check_leaf(certauto_job *job)
{
	if (!certauto__nsx_leaf(job)->is_ca)
		return CERTAUTO__NEXT;
	return certauto__nsx_stop(job, CERTAUTO_ECERT, NULL,
		"make one with CA:FALSE: \"certauto self-signed\" does",
		"the certificate is one of a CA (CA:TRUE), which managers do not take for "
		"themselves");
}

static certauto__verdict check_chain(certauto_job *job)
{
	certauto__buffer chain = CERTAUTO__BUFFER(CHAIN_MAX);
	int rc = certauto__nsx_chain(&chain, job, certauto__job_error_of(job));

	certauto__buffer_free(&chain);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- what the managers demand ---- */

certauto__verdict certauto__nsx_security_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".due") == NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_call(x, certauto__nsx_target(job), "GET",
		certauto__step_attempts(job) == 1
			? "/policy/api/v1/infra/security-global-config"
			: "/api/v1/global-configs/SecurityGlobalConfig");
}

static const char *const demands[] = {
	"ca_signed_only", "eku_checking_enabled", "crl_checking_enabled", NULL};

static int security_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	char name[64];
	size_t i;

	for (i = 0; demands[i] != NULL; i++) {
		snprintf(name, sizeof(name), ".%s", demands[i]);
		certauto__fact_set(job, name, row[i]);
	}
	return 0;
}

/* There are two places for it, by the release. Who may not read it is told by the managers. */
certauto__verdict certauto__nsx_security_read(certauto_job *job, certauto__exchange *x)
{
	if (x->rc == 0 && x->status < 300)
		(void)certauto__rest_object(x, demands, security_row, job, NULL);
	return certauto__nsx_is_missing(x) && certauto__step_attempts(job) == 1
		? certauto__again(job, 0) : CERTAUTO__NEXT;
}

static int demands_it(const certauto_job *job, const char *name)
{
	return certauto__fact_is(job, name, "true");
}

/* An OID in it, whole, tells enough. */
static int has_bytes(const struct certauto__cert_info *cert, const char *bytes, size_t len)
{
	return memmem(cert->der, cert->der_len, bytes, len) != NULL;
}

/* RFC 5280 4.2.1.12: serverAuth, or any use. */
static int is_for_servers(const struct certauto__cert_info *leaf)
{
	static const char server[] = "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
	static const char any[] = "\x06\x04\x55\x1d\x25\x00";

	return has_bytes(leaf, server, sizeof(server) - 1) ||
		has_bytes(leaf, any, sizeof(any) - 1);
}

static certauto__verdict check_demands(certauto_job *job)
{
	static const char points[] = "\x06\x03\x55\x1d\x1f"; /* cRLDistributionPoints */
	const struct certauto__cert_info *leaf = certauto__nsx_leaf(job);

	if (demands_it(job, ".ca_signed_only") && is_root(leaf))
		return certauto__nsx_stop(job, CERTAUTO_EREFUSED, NULL,
			"have it issued by a CA; or turn ca_signed_only off in the managers' "
			"security settings (security-global-config)",
			"the managers take certificates of a CA only (ca_signed_only), and this "
			"one is self-signed");
	if (demands_it(job, ".eku_checking_enabled") && !is_for_servers(leaf))
		return certauto__nsx_stop(job, CERTAUTO_ECERT, NULL,
			"have it issued for TLS servers; or turn eku_checking_enabled off in the "
			"managers' security settings (security-global-config)",
			"the managers want the extended key usage serverAuth "
			"(eku_checking_enabled), which the certificate does not have");
	if (demands_it(job, ".crl_checking_enabled") && has_bytes(leaf, points, sizeof(points) - 1))
		certauto__progress(job, certauto__nsx_target(job)->label,
			"the managers will fetch the CRLs that the certificate names");
	return CERTAUTO__NEXT;
}

/* ---- afterwards: nobody is to be locked out ---- */

/* 1: a CA of the option ca_file is in the chain, or above it. What cannot be read is not judged:
 * it has served for the calls before. */
static int is_trusted(const certauto_job *job)
{
	const certauto__certs *chain = deployment_of(job)->chain;
	const struct certauto__cert_info *ca, *cert;
	certauto__certs *cas = NULL;
	int is_found = 0;
	size_t i, k;

	if (file_certs(&cas, certauto__nsx_target(job), "ca_file", NULL) < 0)
		return 1;
	for (i = 0; !is_found && (ca = certauto__certs_info(cas, i)) != NULL; i++) {
		for (k = 0; !is_found && (cert = certauto__certs_info(chain, k)) != NULL; k++)
			is_found = strcmp(ca->fingerprint, cert->fingerprint) == 0 ||
				(!is_root(cert) && is_issuer(ca, cert));
	}
	certauto__certs_free(cas);
	return is_found;
}

/* What we talk to gets this certificate too. */
static int is_via_due(certauto_job *job)
{
	const char *via = certauto__fact_own(job, ".via");
	int i;

	for (i = 0; via != NULL && i < certauto__nsx_endpoints(job); i++) {
		if (certauto__text_equal(certauto__fact_nth(job, "node", i), via))
			return certauto__fact_nth(job, ".due", i) != NULL;
	}
	return 0;
}

static certauto__verdict check_host(certauto_job *job, const char *host)
{
	const certauto_target *target = certauto__nsx_target(job);

	if (!is_for(certauto__nsx_leaf(job), host))
		return certauto__nsx_stop(job, CERTAUTO_ECERT, host,
			"write the url with a name or address that the certificate has, or add "
			"this one to its names",
			"the certificate is not for %s, which is in the option url: with it in "
			"place the managers could not be verified any more", host);
	if (certauto__option_text(target, "ca_file") == NULL || is_trusted(job))
		return CERTAUTO__NEXT;
	if (!is_root(certauto__nsx_leaf(job)))
		return certauto__nsx_stop(job, CERTAUTO_ECERT, NULL,
			"add the CA's root to that file: it may hold several",
			"no CA of ca_file %s has issued the certificate: with it in place the "
			"managers could not be verified any more",
			certauto__option_text(target, "ca_file"));
	/* One that has been made a moment ago, by who has it at hand. */
	certauto__warn(job, target->label,
		"%s: the certificate is self-signed: the next run needs it in ca_file %s",
		target->label, certauto__option_text(target, "ca_file"));
	return CERTAUTO__NEXT;
}

/* What this run does is trusted by pins; the next one has the options alone. */
static certauto__verdict check_next(certauto_job *job)
{
	const certauto_target *target = certauto__nsx_target(job);
	const char *pin = certauto__option_text(target, "pin");
	certauto__buffer host = CERTAUTO__BUFFER(512), own = CERTAUTO__BUFFER(128);
	certauto__verdict verdict = CERTAUTO__NEXT;
	int port;

	if (!is_via_due(job))
		return CERTAUTO__NEXT;
	if (pin != NULL && certauto__certs_pin(&own, deployment_of(job)->chain) == 0 &&
		strstr(pin, own.data) == NULL)
		certauto__warn(job, target->label,
			"%s: the option pin is of a key that is replaced now: the next run needs "
			"that of the new one, %s, or ca_file", target->label, own.data);
	if (!certauto__option_flag(target, "insecure") &&
		certauto__url_host(certauto__option_text(target, "url"), &host, &port) == 0)
		verdict = check_host(job, certauto__buffer_text(&host));
	certauto__buffer_free(&own);
	certauto__buffer_free(&host);
	return verdict;
}

static void warn_old(certauto_job *job, int i)
{
	const char *label = certauto__fact_nth(job, "label", i);

	if (certauto__fact_nth(job, ".due", i) != NULL &&
		certauto__fact_nth(job, ".seen", i) != NULL &&
		certauto__fact_nth(job, "old", i) == NULL)
		certauto__warn(job, label,
			"nsx: what %s presents now is not among the managers' certificates: it "
			"could not be put back", label);
}

certauto__verdict certauto__nsx_preflight(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict;
	int i;

	(void)x;
	if (certauto__fact_own(job, ".due") == NULL)
		return CERTAUTO__NEXT;
	if ((verdict = certauto__nsx_check_keys(job, "managers present")) != CERTAUTO__NEXT)
		return verdict;
	for (i = 0; i < certauto__nsx_endpoints(job); i++) {
		if ((verdict = check_names(job, i)) != CERTAUTO__NEXT)
			return verdict;
	}
	if ((verdict = check_leaf(job)) != CERTAUTO__NEXT ||
		(verdict = check_key(job)) != CERTAUTO__NEXT ||
		(verdict = check_clock(job)) != CERTAUTO__NEXT ||
		(verdict = check_demands(job)) != CERTAUTO__NEXT ||
		(verdict = check_chain(job)) != CERTAUTO__NEXT ||
		(verdict = check_next(job)) != CERTAUTO__NEXT)
		return verdict;
	for (i = 0; i < certauto__nsx_endpoints(job); i++)
		warn_old(job, i);
	return CERTAUTO__NEXT;
}
