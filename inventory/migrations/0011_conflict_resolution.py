from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0002_append_only'),
    ]

    operations = [
        migrations.AlterField(
            model_name='conflict',
            name='cause',
            field=models.CharField(choices=[('shortage', 'Sold more than there is'), ('broken', 'Reserved goods went missing'), ('inbound', 'Promised inbound will not come in time'), ('given', 'Given to a more urgent demand'), ('beyond_record', 'Shipped beyond record')], max_length=16),
        ),
    ]
