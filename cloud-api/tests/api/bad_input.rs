//! Floods that the listener itself turns away.

use reqwest::Method;

use super::support::Cloud;

#[tokio::test]
async fn a_flood_of_headers_is_turned_away_and_the_cloud_serves_on() {
    let cloud = Cloud::start().await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let mut many = client.request(Method::GET, "/v1/sites");
    for i in 0..200 {
        many = many.header(format!("x-flood-{i}"), "x");
    }
    let large = client.request(Method::GET, "/v1/sites").header("x-flood", "x".repeat(64 * 1024));
    for request in [many, large] {
        // The head is not read to its end, so there is an answer by HTTP alone, or a closed connection.
        if let Ok(response) = request.send().await {
            assert_eq!(response.status(), 431);
        }
        assert_eq!(client.get("/v1/sites").await.status, 200);
    }
}
