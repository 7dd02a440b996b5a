//! Photos with the real models: who is refused, and what is left behind.

use cardea_models::{Frame, Template};
use reqwest::Method;

use super::support::{Cloud, SITE, SUBJECT, answer, consent, sample};

fn path() -> String {
    format!("/v1/sites/{SITE}/subjects/{SUBJECT}/faces")
}

/// Two portraits side by side in one picture.
fn two_portraits() -> Vec<u8> {
    let (left, right) =
        (Frame::decode(&sample("grace_hopper.jpg")).unwrap(), Frame::decode(&sample("astronaut.png")).unwrap());
    let (width, height) = (left.width() + right.width(), left.height().max(right.height()));
    let mut both = Frame::filled(width, height, [127; 3]);
    for (frame, offset) in [(&left, 0), (&right, left.width())] {
        for y in 0..frame.height() {
            for x in 0..frame.width() {
                both.set_pixel(x + offset, y, frame.pixel(x, y).unwrap());
            }
        }
    }
    both.to_jpeg(92).unwrap()
}

/// A form of these photos.
fn form(photos: &[Vec<u8>]) -> Vec<u8> {
    let mut form = Vec::new();
    for photo in photos {
        form.extend(b"--b\r\nContent-Disposition: form-data; name=\"photo\"\r\nContent-Type: image/jpeg\r\n\r\n");
        form.extend(photo);
        form.extend(b"\r\n");
    }
    form.extend(b"--b--\r\n");
    form
}

#[tokio::test]
async fn of_several_photos_of_one_person_the_best_is_kept() {
    let cloud = Cloud::start_with(true).await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    client.post(&format!("/v1/sites/{SITE}/consents"), consent(SUBJECT)).await;
    let send = async |photos: &[Vec<u8>]| {
        let request = client.request(Method::POST, &path()).header("content-type", "multipart/form-data; boundary=b");
        answer(request.body(form(photos))).await
    };
    let (one, other) = (sample("grace_hopper.jpg"), sample("astronaut.png"));
    assert_eq!(send(&[one.clone(), other]).await.problem(), (422, "photos-differ"));
    let empty = Frame::filled(640, 480, [90, 120, 90]).to_jpeg(90).unwrap();
    let again = Frame::decode(&one).unwrap().to_jpeg(60).unwrap();
    assert_eq!(send(&[empty.clone(), empty.clone()]).await.problem(), (422, "no-usable-photo"));
    let enrolled = send(&[empty, again, one]).await;
    assert_eq!(enrolled.status, 201, "{enrolled:?}");
    let photos = enrolled.json["photos"].as_array().unwrap();
    assert_eq!(photos[0]["reason"], "no-face");
    let quality = |i: usize| photos[i]["comparison_quality"].as_f64().unwrap();
    let best = if quality(1) >= quality(2) { 1 } else { 2 };
    assert!((0..3).all(|i| photos[i]["kept"] == (i == best)), "{enrolled:?}");
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The subject's wrapped key, and a piece of the ciphertext that lies on one page, as the database holds them.
fn secrets(cloud: &Cloud) -> Vec<Vec<u8>> {
    let column = |file: &str, sql: &str| {
        let database = rusqlite::Connection::open(cloud.folder.path().join("data").join(file)).unwrap();
        database.query_row(sql, [], |row| row.get::<_, Vec<u8>>(0)).unwrap()
    };
    let ciphertext = column("cloud.db", "SELECT ciphertext FROM templates");
    vec![column("subject-keys.db", "SELECT wrapped_key FROM subject_keys"), ciphertext[..24].to_vec()]
}

#[tokio::test]
async fn a_photo_needs_a_consent_one_face_and_leaves_only_an_encrypted_template() {
    let cloud = Cloud::start_with(true).await.with_customer().await;
    let client = cloud.logged_in("admin").await;
    let photo = sample("grace_hopper.jpg");
    assert_eq!(client.photo(&path(), photo.clone()).await.problem(), (403, "consent-missing"));
    let recorded = client.post(&format!("/v1/sites/{SITE}/consents"), consent(SUBJECT)).await;

    let empty = Frame::filled(640, 480, [90, 120, 90]).to_jpeg(90).unwrap();
    assert_eq!(client.photo(&path(), empty).await.problem(), (422, "no-face"));
    let two = client.photo(&path(), two_portraits()).await;
    assert_eq!(two.problem(), (422, "several-faces"));
    assert_eq!(client.photo(&path(), b"%PDF-1.7".to_vec()).await.problem(), (422, "not-an-image"));
    assert_eq!(client.photo(&path(), photo[..300].to_vec()).await.problem(), (422, "not-an-image"));

    let enrolled = client.photo(&path(), photo.clone()).await;
    assert_eq!(enrolled.status, 201, "{enrolled:?}");
    assert!(enrolled.json["quality"]["eye_distance_px"].as_f64().unwrap() > 10.0);

    // The same photo gives the same template: these are the bytes to look for.
    let enroller = cloud.server.app().enroller.clone();
    let bytes = photo.clone();
    let template =
        tokio::task::spawn_blocking(move || enroller.enrol(&bytes).unwrap().template.to_bytes()).await.unwrap();
    assert!(Template::from_bytes(&template).is_ok());
    let disk = cloud.disk();
    let middle = template.len() / 2;
    for needle in [&template[middle..middle + 16], &photo[2_000..2_032]] {
        assert!(!holds(&disk, needle));
    }

    let stored = secrets(&cloud);
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|secret| holds(&disk, secret)));
    let withdrawal = format!("/v1/sites/{SITE}/consents/{}/withdrawal", recorded.text("consent_id"));
    let erasure = answer(client.request(Method::POST, &withdrawal)).await;
    let erasure = client.get(&format!("/v1/erasures/{}", erasure.text("erasure_id"))).await;
    assert_eq!(erasure.json["cloud_erased"], 1);
    let disk = cloud.disk();
    assert!(!stored.iter().any(|secret| holds(&disk, secret)), "the wrapped key or the ciphertext is still on disk");
    assert_eq!(client.photo(&path(), photo).await.problem(), (403, "consent-missing"));
}
