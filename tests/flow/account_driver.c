/* SPDX-License-Identifier: Apache-2.0 */
/* One account and what is done with it in one process, word by word:
 *
 *   account_driver SERVER CA-FILE STATE WORD...       STATE "-": no store
 *
 *   key=TYPE signer=TYPE     the account's key: made here; the same, kept outside of the library
 *   contact=URI eab=KID:KEY alg=NAME keytype=TYPE disagree
 *   register fetch update orders deactivate
 *   rotate rotate=TYPE rotate=signer:TYPE rotate=same
 *   issue=NAME               an order for NAME by dns-persist-01, whose record is somebody else's
 *   storm=N                  N such orders and a rotation, all at once
 *   await=PATH               goes on when that file is there
 *
 * Each word that is a verb prints a line: "WORD ok" or "WORD CERTAUTO_...: message | advice", and
 * fetch, orders what they have found. The words go on after an error. */
#include <certauto.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/ecdsa.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>

#define TIMEOUT_MS 30000

struct driver {
	certauto_context *cx;
	certauto_store *store;
	certauto_account *account;
	certauto_key *key;
};

static int no_luck(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	while (len-- > 0)
		*out++ = (unsigned char)rand();
	return 0;
}

/* What an HSM would do. */
static int sign(certauto_signing *signing, void *payload)
{
	mbedtls_pk_context *pk = payload;
	unsigned char out[1024];
	mbedtls_mpi r, s, d;
	const unsigned char *digest;
	size_t len, half, out_len = 0;
	int rc;

	digest = certauto_signing_digest(signing, &len);
	if (strcmp(certauto_signing_alg(signing), "RS256") == 0) {
		out_len = mbedtls_pk_get_len(pk);
		rc = mbedtls_rsa_pkcs1_sign(mbedtls_pk_rsa(*pk), no_luck, NULL,
#if MBEDTLS_VERSION_NUMBER < 0x03000000
			MBEDTLS_RSA_PRIVATE,
#endif
			MBEDTLS_MD_SHA256, (unsigned)len, digest, out);
	} else {
		mbedtls_ecp_keypair *ec = mbedtls_pk_ec(*pk);
		mbedtls_ecp_group group;
		mbedtls_ecp_point q;

		half = (mbedtls_pk_get_bitlen(pk) + 7) / 8;
		mbedtls_mpi_init(&r);
		mbedtls_mpi_init(&s);
		mbedtls_mpi_init(&d);
		mbedtls_ecp_group_init(&group);
		mbedtls_ecp_point_init(&q);
#if MBEDTLS_VERSION_NUMBER < 0x03000000
		rc = mbedtls_ecp_group_copy(&group, &ec->grp) | mbedtls_mpi_copy(&d, &ec->d);
#else
		rc = mbedtls_ecp_export(ec, &group, &d, &q);
#endif
		if (rc == 0)
			rc = mbedtls_ecdsa_sign(&group, &r, &s, &d, digest, len, no_luck, NULL);
		rc |= mbedtls_mpi_write_binary(&r, out, half);
		rc |= mbedtls_mpi_write_binary(&s, out + half, half);
		out_len = 2 * half;
		mbedtls_mpi_free(&r);
		mbedtls_mpi_free(&s);
		mbedtls_mpi_free(&d);
		mbedtls_ecp_group_free(&group);
		mbedtls_ecp_point_free(&q);
	}
	return rc != 0 ? CERTAUTO_EIO : certauto_signing_set_signature(signing, out, out_len);
}

static void free_pk(void *pk)
{
	mbedtls_pk_free(pk);
	free(pk);
}

static int make_signer(certauto_key **out, certauto_context *cx, const char *type)
{
	mbedtls_pk_context *pk = malloc(sizeof(*pk));
	unsigned char *pem = NULL, *spki = NULL;
	certauto_key *key = NULL;
	size_t pem_len = 0, spki_len = 0;
	int rc;

	mbedtls_pk_init(pk);
	if ((rc = certauto_key_new(&key, cx, type)) == 0 &&
	    (rc = certauto_key_format(&pem, &pem_len, key)) == 0 &&
	    (rc = certauto_key_format_public(&spki, &spki_len, key)) == 0) {
#if MBEDTLS_VERSION_NUMBER < 0x03000000
		rc = mbedtls_pk_parse_key(pk, pem, pem_len + 1, NULL, 0);
#else
		rc = mbedtls_pk_parse_key(pk, pem, pem_len + 1, NULL, 0, no_luck, NULL);
#endif
		if (rc != 0)
			rc = CERTAUTO_EINVAL;
	}
	if (rc == 0)
		rc = certauto_key_new_signer(out, cx, spki, spki_len, sign, pk, free_pk);
	else
		free_pk(pk);
	certauto_key_free(key);
	certauto_mem_free(pem);
	certauto_mem_free(spki);
	return rc;
}

static int make_key(certauto_key **out, certauto_context *cx, const char *type)
{
	return strncmp(type, "signer:", 7) == 0 ? make_signer(out, cx, type + 7)
						: certauto_key_new(out, cx, type);
}

static int do_key(struct driver *driver, const char *type)
{
	int rc = make_key(&driver->key, driver->cx, type);

	return rc < 0 ? rc : certauto_account_set_key(driver->account, driver->key);
}

static int do_rotate(struct driver *driver, const char *type)
{
	certauto_key *key = NULL;
	int rc = 0;

	if (type != NULL && strcmp(type, "same") == 0)
		return certauto_account_rotate_key(driver->account, driver->key, TIMEOUT_MS);
	if (type != NULL)
		rc = make_key(&key, driver->cx, type);
	if (rc == 0)
		rc = certauto_account_rotate_key(driver->account, key, TIMEOUT_MS);
	certauto_key_free(key);
	return rc;
}

static int do_eab(struct driver *driver, char *text)
{
	char *key = strchr(text, ':');

	*key++ = '\0';
	return certauto_account_set_eab(
		driver->account, text, (const unsigned char *)key, strlen(key));
}

static int start_order(certauto_job **out, struct driver *driver, const char *name)
{
	certauto_order *order = NULL;
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	int rc;

	if ((rc = certauto_key_new(&key, driver->cx, "ecdsa-p256")) == 0 &&
	    (rc = certauto_csr_new(&csr, driver->cx, key, &name, 1)) == 0 &&
	    (rc = certauto_order_new(&order, driver->account, csr)) == 0 &&
	    (rc = certauto_order_use(order, "dns-persist-01", NULL)) == 0)
		rc = certauto_order_start(out, order, TIMEOUT_MS);
	certauto_order_free(order);
	certauto_csr_free(csr);
	certauto_key_free(key);
	return rc;
}

static int do_issue(struct driver *driver, const char *name)
{
	certauto_job *job = NULL;
	int rc = start_order(&job, driver, name);

	if (rc == 0)
		rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
}

static int do_storm(struct driver *driver, int n)
{
	certauto_job *jobs[101] = {NULL};
	char name[64];
	int i, first = 0, rc = 0;

	n = n > 100 ? 100 : n;
	for (i = 0; i <= n && rc == 0; i++) {
		snprintf(name, sizeof(name), "storm%d.example.org", i);
		if (i == n / 2)
			rc = certauto_account_start_rotate_key(
				&jobs[i], driver->account, NULL, TIMEOUT_MS);
		else
			rc = start_order(&jobs[i], driver, name);
	}
	for (i = 0; i <= n; i++) {
		if (rc == 0 && first == 0)
			first = certauto_job_wait(jobs[i], -1);
		certauto_job_free(jobs[i]);
	}
	return rc < 0 ? rc : first;
}

static int do_await(const char *path)
{
	int i;

	for (i = 0; i < TIMEOUT_MS / 10; i++) {
		if (access(path, F_OK) == 0)
			return 0;
		poll(NULL, 0, 10);
	}
	return CERTAUTO_ETIMEDOUT;
}

static int do_word(struct driver *driver, const char *word, char *value)
{
	certauto_account *account = driver->account;

	if (strcmp(word, "key") == 0)
		return do_key(driver, value);
	if (strcmp(word, "contact") == 0)
		return certauto_account_add_contact(account, value);
	if (strcmp(word, "eab") == 0)
		return do_eab(driver, value);
	if (strcmp(word, "alg") == 0)
		return certauto_account_set_eab_alg(account, value);
	if (strcmp(word, "keytype") == 0)
		return certauto_account_set_key_type(account, value);
	if (strcmp(word, "disagree") == 0)
		return certauto_account_set_agree_tos(account, 0);
	if (strcmp(word, "allow") == 0)
		return certauto_account_allow_host(account, value);
	if (strcmp(word, "register") == 0)
		return certauto_account_register(account, TIMEOUT_MS);
	if (strcmp(word, "fetch") == 0)
		return certauto_account_fetch(account, TIMEOUT_MS);
	if (strcmp(word, "update") == 0)
		return certauto_account_update(account, TIMEOUT_MS);
	if (strcmp(word, "orders") == 0)
		return certauto_account_fetch_orders(account, TIMEOUT_MS);
	if (strcmp(word, "deactivate") == 0)
		return certauto_account_deactivate(account, TIMEOUT_MS);
	if (strcmp(word, "rotate") == 0)
		return do_rotate(driver, value);
	if (strcmp(word, "storm") == 0)
		return do_storm(driver, atoi(value));
	if (strcmp(word, "await") == 0)
		return do_await(value);
	return strcmp(word, "issue") == 0 ? do_issue(driver, value) : CERTAUTO_EINVAL;
}

static void show(struct driver *driver, const char *word, int rc)
{
	const certauto_error *error = certauto_context_error(driver->cx);
	const char *advice = certauto_error_advice(error);
	const certauto_account *account = driver->account;
	size_t i;

	if (rc < 0) {
		printf("%s %s: %s | %s | %lld\n", word, certauto_error_name(rc),
			certauto_error_message(error), advice != NULL ? advice : "",
			(long long)certauto_error_retry_at(error));
		return;
	}
	printf("%s ok", word);
	if (strcmp(word, "fetch") == 0 || strcmp(word, "register") == 0)
		printf(" %s %s", certauto_account_url(account), certauto_account_status(account));
	for (i = 0; strcmp(word, "fetch") == 0 && i < certauto_account_n_contacts(account); i++)
		printf(" %s", certauto_account_contact(account, i));
	for (i = 0; strcmp(word, "fetch") == 0 && i < certauto_account_n_profiles(account); i++)
		printf(" profile:%s", certauto_account_profile(account, i));
	for (i = 0; strcmp(word, "orders") == 0 && i < certauto_account_n_orders(account); i++)
		printf(" %s", certauto_account_order(account, i));
	printf("\n");
}

static int open_account(struct driver *driver, char **argv)
{
	int rc;

	if ((rc = certauto_context_new(&driver->cx)) < 0 ||
	    (rc = certauto_account_new(&driver->account, driver->cx, argv[1])) < 0 ||
	    (rc = certauto_account_set_ca_file(driver->account, argv[2])) < 0 ||
	    (rc = certauto_account_set_agree_tos(driver->account, 1)) < 0 ||
	    strcmp(argv[3], "-") == 0)
		return rc;
	if ((rc = certauto_store_new(&driver->store, driver->cx, "files")) < 0 ||
	    (rc = certauto_store_set(driver->store, "directory", argv[3])) < 0)
		return rc;
	return certauto_account_use_store(driver->account, driver->store);
}

int main(int argc, char **argv)
{
	struct driver driver = {NULL, NULL, NULL, NULL};
	char *value;
	int i, rc;

	if (argc < 5 || open_account(&driver, argv) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 4; i < argc; i++) {
		if ((value = strchr(argv[i], '=')) != NULL)
			*value++ = '\0';
		rc = do_word(&driver, argv[i], value);
		show(&driver, argv[i], rc);
	}
	certauto_key_free(driver.key);
	certauto_account_free(driver.account);
	certauto_store_free(driver.store);
	certauto_context_free(driver.cx);
	return 0;
}
