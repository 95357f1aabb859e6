/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS request with libcurl and nothing else: what the memory of certauto is compared with. */
#include <curl/curl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	CURLcode rc = CURLE_FAILED_INIT;
	CURL *easy;

	if (argc != 3) {
		fprintf(stderr, "usage: bare URL CA-FILE\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	easy = curl_easy_init();
	if (easy && curl_easy_setopt(easy, CURLOPT_URL, argv[1]) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CAINFO, argv[2]) == CURLE_OK)
		rc = curl_easy_perform(easy);
	curl_easy_cleanup(easy);
	curl_global_cleanup();
	return rc == CURLE_OK ? 0 : 1;
}
